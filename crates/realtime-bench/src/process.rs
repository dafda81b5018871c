//! What a process costs, read from `/proc`.

use std::{fs, io, path::PathBuf, time::Duration};

/// A process that is watched.
#[derive(Debug, Clone)]
pub(crate) struct Process(PathBuf);

impl Process {
    pub(crate) fn of(pid: u32) -> Self {
        Self(PathBuf::from(format!("/proc/{pid}")))
    }

    pub(crate) fn own() -> Self {
        Self(PathBuf::from("/proc/self"))
    }

    /// The CPU time of all its threads, user and system together.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        // The scheduler's own figure is in nanoseconds, that of `stat` in ticks of 10 ms. But only
        // the latter knows threads that have ended: then it is the larger one.
        let ticks = self.ticks()?.iter().sum();
        Ok(self.scheduled().map_or(ticks, |time| time.max(ticks)))
    }

    fn scheduled(&self) -> io::Result<Duration> {
        let mut sum = 0;
        for thread in fs::read_dir(self.0.join("task"))? {
            let line = fs::read_to_string(thread?.path().join("schedstat"))?;
            sum += line
                .split(' ')
                .next()
                .and_then(|first| first.parse::<u64>().ok())
                .ok_or_else(|| io::Error::other("schedstat has no time"))?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// The same as user time and system time. The kernel only samples which of them it is, so only
    /// how one is to the other means something.
    pub(crate) fn ticks(&self) -> io::Result<[Duration; 2]> {
        /// `USER_HZ`: a constant of the kernel's interface on all common machines.
        const PER_SECOND: u64 = 100;
        let stat = fs::read_to_string(self.0.join("stat"))?;
        // The second field is the program's name in brackets, which may hold anything.
        let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let mut fields = fields.split(' ').skip(11);
        let mut field = || fields.next()?.parse::<u64>().ok();
        let (user, system) = field()
            .zip(field())
            .ok_or_else(|| io::Error::other("stat has no times"))?;
        Ok([user, system].map(|ticks| Duration::from_millis(ticks * 1000 / PER_SECOND)))
    }

    /// The bytes of its own memory that are resident: without what is mapped from files.
    pub(crate) fn memory(&self) -> io::Result<u64> {
        let status = fs::read_to_string(self.0.join("status"))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok())
            .map(|kib| kib * 1024)
            .ok_or_else(|| io::Error::other("status has no RssAnon"))
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn it_sees_what_this_process_uses() {
        let own = Process::of(std::process::id());
        let (cpu, ticks, memory) = (
            own.cpu().unwrap(),
            own.ticks().unwrap()[0],
            own.memory().unwrap(),
        );
        let filled = black_box(vec![1_u8; 32 << 20]);
        let mut sum = 0_u64;
        while own.ticks().unwrap()[0] < ticks + Duration::from_millis(50) {
            sum += filled.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        }
        black_box(sum);
        assert!(own.cpu().unwrap() >= cpu + Duration::from_millis(20));
        assert!(own.memory().unwrap() >= memory + (30 << 20));
    }
}
