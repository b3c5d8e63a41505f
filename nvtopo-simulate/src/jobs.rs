//! Jobs: a stream of them by chance, with nothing but a seed.

use super::random::Random;
use super::trace;
use nvtopo::solve::SizeMix;
use nvtopo::{Error, Result};

/// The highest offered load: far beyond it all jobs but one in so many are turned away, at the cost of as much time.
pub const MAX_LOAD: f64 = 10.0;
/// The most jobs of one workload.
pub const MAX_JOBS: usize = 10_000_000;

/// A job that is played.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Job {
    /// The time of its arrival, in any unit.
    pub arrival: f64,
    /// The time that it keeps its GPUs, in the same unit.
    pub service: f64,
    /// The number of GPUs that it needs.
    pub gpus: usize,
}

impl Job {
    /// A job that arrives at a time, and keeps a number of GPUs for a time.
    pub const fn new(arrival: f64, service: f64, gpus: usize) -> Self {
        Self { arrival, service, gpus }
    }
}

/// A stream of jobs by chance: Poisson arrivals, exponential service with mean 1.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stream {
    /// The offered load: the GPUs that would be busy if no job was ever turned away, as a part of the machine's. Above 0, and
    /// [`MAX_LOAD`] at most.
    pub load: f64,
    /// The number of jobs.
    pub jobs: usize,
    /// The mix of job sizes.
    pub mix: SizeMix,
    /// The same seed gives the same jobs.
    pub seed: u64,
}

/// The jobs that are played, by their arrival.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    pub(super) jobs: Vec<Job>,
    pub(super) left_out: usize,
}

impl Workload {
    /// Jobs in any order. Times are finite, and no service is negative.
    pub fn new(jobs: impl IntoIterator<Item = Job>) -> Result<Self> {
        let mut jobs: Vec<Job> = jobs.into_iter().take(MAX_JOBS + 1).collect();
        limit(jobs.len())?;
        let sound = |job: &Job| {
            job.arrival.is_finite() && job.service.is_finite() && job.service >= 0.0 && job.gpus > 0
        };
        if let Some(job) = jobs.iter().find(|job| !sound(job)) {
            return Err(Error::request(format!("{job:?} cannot be played")));
        }
        jobs.sort_by(|a, b| a.arrival.total_cmp(&b.arrival));
        Ok(Self { jobs, left_out: 0 })
    }

    /// Jobs by chance, for a machine with so many GPUs.
    pub fn random(stream: &Stream, gpus: usize) -> Result<Self> {
        let rate = stream.rate(gpus)?;
        let mut random = Random::new(stream.seed);
        let mut now = 0.0;
        let job = |_| {
            now += random.exponential() / rate;
            Job { arrival: now, service: random.exponential(), gpus: draw(&stream.mix, &mut random) }
        };
        Ok(Self { jobs: (0..stream.jobs).map(job).collect(), left_out: 0 })
    }

    /// Jobs from a trace with a column of GPU counts, `gpus` or `num_gpu`, and, where it says when they came, `arrival`
    /// with `service`, or `creation_time` with `deletion_time`. Other columns are ignored; what has no times gets them
    /// by chance, from the load and the seed of `stream`, as many jobs as there are rows. Rows that ask for no GPU, for a
    /// part of one (`gpu_milli` below 1000), or that never ended are left out.
    ///
    /// ```
    /// use nvtopo::solve::SizeMix;
    /// use nvtopo_simulate::{Stream, Workload};
    ///
    /// let stream = Stream::new(SizeMix::usual(8)?);
    /// let trace = "name,arrival,service,gpus\na,0,10,2\nb,3.5,4,1\nc,4,1,0\n";
    /// let workload = Workload::from_csv("trace.csv", trace.as_bytes(), &stream, 8)?;
    /// assert_eq!((workload.jobs().len(), workload.left_out()), (2, 1));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn from_csv(name: &str, bytes: &[u8], stream: &Stream, gpus: usize) -> Result<Self> {
        let rows = trace::read(bytes).map_err(|error| error.in_input(name))?;
        let mut random = Random::new(stream.seed);
        let total: usize = rows.jobs.iter().map(|row| row.gpus).sum();
        let mean = total as f64 / rows.jobs.len().max(1) as f64;
        let rate = stream.load * gpus as f64 / mean;
        if rows.jobs.iter().any(|row| row.times.is_none()) {
            sound(stream.load, rate)?;
        }
        let mut now = 0.0;
        let jobs = rows.jobs.into_iter().map(|row| {
            let (arrival, service) = row.times.unwrap_or_else(|| {
                now += random.exponential() / rate;
                (now, random.exponential())
            });
            Job { arrival, service, gpus: row.gpus }
        });
        Ok(Self { left_out: rows.left_out, ..Self::new(jobs)? })
    }

    /// The same jobs, further apart or nearer together, so that they offer this load to a machine with so many GPUs.
    pub fn with_load(mut self, load: f64, gpus: usize) -> Result<Self> {
        let Some(offered) =
            self.offered(gpus).filter(|offered| *offered > 0.0 && load > 0.0 && load <= MAX_LOAD)
        else {
            return Err(Error::request(format!("these jobs cannot be made to offer the load {load}")));
        };
        let first = self.jobs[0].arrival;
        for job in &mut self.jobs {
            job.arrival = (job.arrival - first) * (offered / load);
        }
        Ok(self)
    }

    /// The offered load: what all jobs keep busy, as a part of what the GPUs could do until the last one arrives. `None`
    /// where all arrive at once.
    pub fn offered(&self, gpus: usize) -> Option<f64> {
        let work: f64 = self.jobs.iter().map(|job| job.service * job.gpus as f64).sum();
        let offered = work / (self.span() * gpus as f64);
        offered.is_finite().then_some(offered)
    }

    /// The time from the first arrival to the last.
    pub(super) fn span(&self) -> f64 {
        match (self.jobs.first(), self.jobs.last()) {
            (Some(first), Some(last)) => last.arrival - first.arrival,
            _ => 0.0,
        }
    }

    /// The jobs by their arrival.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// The number of rows of a trace that were left out.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Returns the mix of the sizes of the jobs that fit on a machine.
    pub fn mix(&self, gpus: usize) -> Result<SizeMix> {
        let mut counts = vec![0usize; gpus + 1];
        for job in self.jobs.iter().filter(|job| job.gpus <= gpus) {
            counts[job.gpus] += 1;
        }
        SizeMix::new(counts.into_iter().enumerate().skip(1).map(|(size, count)| (size, count as f64)))
    }
}

impl Stream {
    /// A stream with a mix of job sizes, an offered load of 0.9, 200,000 jobs and the seed 1.
    pub const fn new(mix: SizeMix) -> Self {
        Self { load: 0.9, jobs: 200_000, mix, seed: 1 }
    }

    /// Sets the offered load.
    #[must_use]
    pub fn load(self, load: f64) -> Self {
        Self { load, ..self }
    }

    /// Sets the number of jobs.
    #[must_use]
    pub fn jobs(self, jobs: usize) -> Self {
        Self { jobs, ..self }
    }

    /// Sets the seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Arrivals in a mean service time.
    pub(super) fn rate(&self, gpus: usize) -> Result<f64> {
        limit(self.jobs)?;
        if let Some((size, _)) = self.mix.sizes().iter().find(|(size, _)| *size > gpus) {
            return Err(Error::request(format!("jobs of {size} GPUs do not fit on a machine with {gpus}")));
        }
        let rate = self.load * gpus as f64 / self.mix.mean();
        sound(self.load, rate)?;
        Ok(rate)
    }
}

fn sound(load: f64, rate: f64) -> Result<()> {
    if rate.is_finite() && rate > 0.0 && load <= MAX_LOAD {
        return Ok(());
    }
    let advice = format!("give a number above 0, {MAX_LOAD} at most, such as 0.9");
    Err(Error::request(format!("{load} is no load")).help(advice))
}

fn limit(jobs: usize) -> Result<()> {
    if jobs > MAX_JOBS {
        return Err(Error::request(format!("{jobs} jobs are more than the {MAX_JOBS} that are played")));
    }
    Ok(())
}

/// A size by chance.
fn draw(mix: &SizeMix, random: &mut Random) -> usize {
    let mut left = random.unit();
    for (size, weight) in mix.sizes() {
        if left < *weight {
            return *size;
        }
        left -= weight;
    }
    // What rounding leaves over belongs to the last.
    mix.sizes().last().map_or(1, |(size, _)| *size)
}
