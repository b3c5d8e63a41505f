//! Traces of jobs as CSV with a header.

use super::jobs::MAX_JOBS;
use nvtopo::{Error, Result};

/// The jobs of a trace.
pub(super) struct Rows {
    pub(super) jobs: Vec<Row>,
    pub(super) left_out: usize,
}

pub(super) struct Row {
    pub(super) gpus: usize,
    /// Arrival and service, where there are columns of them.
    pub(super) times: Option<(f64, f64)>,
}

/// The positions of the columns.
struct Columns {
    gpus: usize,
    /// Thousandths of a GPU, for jobs of one.
    part: Option<usize>,
    times: Option<Times>,
}

/// The column of the arrivals, and that of the services or of the ends.
struct Times {
    arrival: usize,
    other: usize,
    ends: bool,
}

pub(super) fn read(bytes: &[u8]) -> Result<Rows> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let columns = columns(reader.headers().map_err(|error| damaged(&error))?)?;
    let mut rows = Rows { jobs: Vec::new(), left_out: 0 };
    for record in reader.records() {
        let record = record.map_err(|error| damaged(&error))?;
        match row(&record, &columns)? {
            Some(_) if rows.jobs.len() == MAX_JOBS => {
                return Err(Error::input(format!("more than {MAX_JOBS} jobs")));
            }
            Some(row) => rows.jobs.push(row),
            None => rows.left_out += 1,
        }
    }
    Ok(rows)
}

fn columns(header: &csv::StringRecord) -> Result<Columns> {
    let find = |name: &str| header.iter().position(|column| column.eq_ignore_ascii_case(name));
    let Some(gpus) = find("gpus").or_else(|| find("num_gpu")) else {
        return Err(Error::input("no column says how many GPUs a job needs")
            .help("the header needs a column gpus or num_gpu")
            .at(1, 1));
    };
    let times =
        |arrival: &str, other: &str, ends| Some(Times { arrival: find(arrival)?, other: find(other)?, ends });
    let times = times("arrival", "service", false).or_else(|| times("creation_time", "deletion_time", true));
    Ok(Columns { gpus, part: find("gpu_milli"), times })
}

/// `None`: the row is left out.
fn row(record: &csv::StringRecord, columns: &Columns) -> Result<Option<Row>> {
    let gpus = number(record, columns.gpus)?.unwrap_or(0.0);
    let part = columns.part.map_or(Ok(None), |column| number(record, column))?;
    if gpus.fract() != 0.0 || !(0.0..=1e6).contains(&gpus) {
        return Err(place(Error::input(format!("{gpus} is no number of GPUs")), record, columns.gpus));
    }
    if gpus < 1.0 || part.is_some_and(|part| part < 1000.0 && gpus <= 1.0) {
        return Ok(None);
    }
    let times = match &columns.times {
        None => None,
        Some(times) => {
            let Some((arrival, other)) = number(record, times.arrival)?.zip(number(record, times.other)?)
            else {
                return Ok(None);
            };
            let service = if times.ends { other - arrival } else { other };
            if service < 0.0 {
                return Err(place(Error::input(format!("a job cannot last {service}")), record, times.other));
            }
            Some((arrival, service))
        }
    };
    Ok(Some(Row { gpus: gpus as usize, times }))
}

/// `None` where the field is empty.
fn number(record: &csv::StringRecord, column: usize) -> Result<Option<f64>> {
    let text = record.get(column).unwrap_or("");
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Some(number)),
        _ => Err(place(Error::input(format!("'{text}' is no number")), record, column)),
    }
}

fn place(error: Error, record: &csv::StringRecord, column: usize) -> Error {
    let line = record.position().map_or(0, csv::Position::line) as usize;
    let before: usize = record.iter().take(column).map(|field| field.chars().count() + 1).sum();
    error.at(line, before + 1)
}

fn damaged(error: &csv::Error) -> Error {
    let line = error.position().map(|position| position.line() as usize);
    let damage = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Error::input(format!("{len} fields where the header has {expected_len}"))
        }
        csv::ErrorKind::Utf8 { .. } => Error::input("not UTF-8"),
        _ => Error::input(error.to_string()),
    };
    match line {
        Some(line) => damage.at(line, 1),
        None => damage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openb_is_read_with_and_without_times() {
        let with = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n\
            openb-pod-0000,12000,16384,1,1000,,LS,Running,0,12537496,0\n\
            openb-pod-0001,6000,12288,1,460,,LS,Running,427061,12902960,427061\n\
            openb-pod-0002,8000,12288,8,1000,V100M16|V100M32,LS,Running,20,70,30\n";
        let rows = read(with.as_bytes()).unwrap();
        assert_eq!(rows.left_out, 1);
        assert_eq!(rows.jobs.iter().map(|row| row.gpus).collect::<Vec<_>>(), [1, 8]);
        assert_eq!(rows.jobs[1].times, Some((20.0, 50.0)));
        let without = "name,cpu_milli,memory_mib,num_gpu,gpu_milli\nopenb-pod-0000,12000,16384,2,1000\n";
        let rows = read(without.as_bytes()).unwrap();
        assert_eq!((rows.jobs[0].gpus, rows.jobs[0].times), (2, None));
    }

    #[test]
    fn damage_is_named_with_its_place() {
        for (text, place, word) in [
            ("a,b\n1,2\n", (1, 1), "no column"),
            ("gpus,arrival,service\n1,2,3\n2,x,4\n", (3, 3), "'x'"),
            ("gpus,arrival,service\n1,2,-3\n", (2, 5), "-3"),
            ("gpus\n1.5\n", (2, 1), "1.5"),
            ("gpus\n1e9\n", (2, 1), "1000000000"),
            ("gpus,arrival\n1\n", (2, 1), "1 fields"),
            ("", (1, 1), "no column"),
        ] {
            let Err(error) = read(text.as_bytes()) else { panic!("{text:?} was read") };
            assert_eq!((error.line(), error.column()), (Some(place.0), Some(place.1)), "{text:?}: {error}");
            assert!(error.to_string().contains(word), "{text:?}: {error}");
        }
    }
}
