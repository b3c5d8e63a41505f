//! Latencies in microseconds: the tables of perftest (`ib_read_lat`), and the line of `ibv_rc_pingpong`.

use nvtopo::{Error, Result};

/// Reads the typical time, which is the median, or the average where a run of a given duration tells no more; of the smallest
/// message.
///
/// Source of the columns: perftest, `src/perftest_parameters.h`, `RESULT_FMT_LAT` and `RESULT_FMT_LAT_DUR`.
pub(crate) fn perftest(text: &str) -> Result<f64> {
    let mut column = None;
    let mut smallest: Option<(u64, f64)> = None;
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.first() == Some(&"#bytes") {
            let find = |name: &str| words.iter().position(|word| word.starts_with(name));
            column = find("t_typical[").or_else(|| find("t_avg["));
            if let Some(word) = column.map(|at| words[at]).filter(|word| !word.ends_with("[usec]")) {
                let error = Error::input(format!("'{word}' is not in microseconds")).at(number + 1, 1);
                return Err(error.help("leave --report-cycles out"));
            }
            continue;
        }
        let Some(column) = column else { continue };
        let Some(size) = words.first().and_then(|word| word.parse::<u64>().ok()) else { continue };
        let value = words.get(column).copied().unwrap_or_default();
        let value =
            time(value).ok_or_else(|| Error::input(format!("'{value}' is not a time")).at(number + 1, 1))?;
        if smallest.is_none_or(|(before, _)| size < before) {
            smallest = Some((size, value));
        }
    }
    smallest.map(|(_, value)| value).ok_or_else(|| Error::input("no latency is in the output of perftest"))
}

/// Reads `1000 iters in 0.01 seconds = 6.47 usec/iter`: the time of a message there and back.
///
/// Source: rdma-core, `libibverbs/examples/rc_pingpong.c`.
pub(crate) fn pingpong(text: &str) -> Result<f64> {
    let per_message = |line: &str| {
        let rest = line.trim().strip_suffix("usec/iter")?;
        rest.contains(" iters in ").then(|| time(rest.rsplit('=').next()?.trim())).flatten()
    };
    text.lines()
        .find_map(per_message)
        .ok_or_else(|| Error::input("no time of a message is in the output of ibv_rc_pingpong"))
}

fn time(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|value| (0.0..1e9).contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_the_smallest_message_counts() {
        let table = " #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]    t_stdev[usec]   99% percentile[usec]   99.9% percentile[usec] \n 8       1000          1.80           4.52         1.84                1.85             0.05            2.00                    4.52   \n 2       1000          1.70           4.52         1.74                1.85             0.05            2.00                    4.52   \n";
        assert!((perftest(table).unwrap() - 1.74).abs() < 1e-9);
        let for_a_time = " #bytes        #iterations       t_avg[usec]    tps average\n 8       100000            2.50        400000.00\n";
        assert!((perftest(for_a_time).unwrap() - 2.5).abs() < 1e-9);
        assert!(perftest("garbage").is_err());
        assert_eq!(perftest(&table.replace("1.74", "n/a")).unwrap_err().line(), Some(3));
        assert!(perftest(&table.replace("[usec]", "[cycles]")).is_err());
    }

    #[test]
    fn a_pingpong_has_a_time_for_each_message() {
        let text = "8192000 bytes in 0.01 seconds = 10123.45 Mbit/sec\n1000 iters in 0.01 seconds = 6.47 usec/iter\n";
        assert!((pingpong(text).unwrap() - 6.47).abs() < 1e-9);
        assert!(pingpong("Couldn't connect to localhost:18515\n").is_err());
        assert!(pingpong("1000 iters in 0.01 seconds = nan usec/iter\n").is_err());
    }
}
