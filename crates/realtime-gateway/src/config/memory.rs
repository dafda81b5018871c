//! How much memory this process may have: the limit of its cgroup, which is what a container has.
//! The defaults of the budgets look at it, since past it the kernel ends the process.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// A budget where there is more than enough.
const MOST: u64 = 512 << 20;
/// A budget is at most this part of the limit: there are two, and the program needs memory, too.
const PART: u64 = 4;
/// A budget in the smallest container. Less would close sessions that do nothing wrong.
const LEAST: u64 = 4 << 20;

/// The default of a budget, in this process. Looked up once.
pub(super) fn default_budget() -> usize {
    static BUDGET: OnceLock<usize> = OnceLock::new();
    *BUDGET.get_or_init(|| budget(limit(&|path| fs::read_to_string(path).ok())))
}

fn budget(limit: Option<u64>) -> usize {
    let budget = limit.map_or(MOST, |limit| (limit / PART).clamp(LEAST, MOST));
    usize::try_from(budget).unwrap_or(usize::MAX)
}

/// The least limit of the cgroups that this process is in, version 2 and 1. Without one: `None`.
///
/// `read` gives the text of a file, where there is one.
fn limit(read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let cgroups = read(Path::new("/proc/self/cgroup"))?;
    let mounts = read(Path::new("/proc/self/mountinfo"))?;
    let limits = cgroups.lines().filter_map(|line| {
        // 4:memory:/some/path, and 0::/some/path for version 2.
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let (kind, file) = match controllers {
            "" => ("cgroup2", "memory.max"),
            some if some.split(',').any(|c| c == "memory") => ("cgroup", "memory.limit_in_bytes"),
            _ => return None,
        };
        // A later one may hide an earlier one. There may be some of other parts of the hierarchy.
        let seen = || {
            mounts
                .lines()
                .rev()
                .filter_map(|line| Mount::of(line, kind))
        };
        let mount = seen().find(|mount| Path::new(path).starts_with(&mount.root));
        mount.or_else(|| seen().next())?.least(path, file, read)
    });
    limits.min()
}

/// Where a hierarchy of cgroups is seen.
struct Mount {
    /// The cgroup that is seen there.
    root: PathBuf,
    point: PathBuf,
}

impl Mount {
    /// Reads a line such as `31 23 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory`.
    fn of(line: &str, kind: &str) -> Option<Self> {
        let (before, behind) = line.split_once(" - ")?;
        let mut behind = behind.split(' ');
        let is_it = behind.next() == Some(kind)
            && (kind == "cgroup2" || behind.nth(1)?.split(',').any(|option| option == "memory"));
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        is_it.then(|| Self {
            root: unescaped(root),
            point: unescaped(point),
        })
    }

    /// The least limit of a cgroup and those around it, as far as they are seen. In a container
    /// the path may be the host's, which leads nowhere; then the mount point is this cgroup.
    fn least(&self, path: &str, file: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
        let inner = Path::new(path)
            .strip_prefix(&self.root)
            .unwrap_or(Path::new(""));
        let point = &self.point;
        let own = point.join(inner);
        let around = own
            .ancestors()
            .take_while(|folder| folder.starts_with(point));
        let limits = around.filter_map(|folder| read(&folder.join(file))?.trim().parse().ok());
        // Version 1 writes a number near the largest for "none", version 2 "max".
        limits.filter(|limit| *limit < 1 << 60).min()
    }
}

/// A path as `mountinfo` writes it: with what would end a field in octal, such as `\040`.
fn unescaped(path: &str) -> PathBuf {
    let mut parts = path.split('\\');
    let first = parts.next().unwrap_or_default().to_owned();
    let whole = parts.fold(first, |whole, part| match part {
        part if part.starts_with("040") => whole + " " + &part[3..],
        part if part.starts_with("011") => whole + "\t" + &part[3..],
        part if part.starts_with("012") => whole + "\n" + &part[3..],
        part if part.starts_with("134") => whole + "\\" + &part[3..],
        part => whole + "\\" + part,
    });
    PathBuf::from(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[(&str, &str)]) -> Option<u64> {
        limit(&|path| {
            let file = files.iter().find(|(name, _)| Path::new(name) == path);
            file.map(|(_, text)| (*text).to_owned())
        })
    }

    const V2: (&str, &str) = (
        "/proc/self/mountinfo",
        "24 30 0:22 / /proc rw,nosuid - proc proc rw\n\
         35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
    );
    const V1: (&str, &str) = (
        "/proc/self/mountinfo",
        "11 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
         14 35 0:32 /docker/abc /sys/fs/cgroup/memory ro master:11 - cgroup cgroup rw,memory\n\
         19 40 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n",
    );

    #[test]
    fn a_container_of_version_2_sees_its_own_cgroup_as_the_root() {
        let own = ("/proc/self/cgroup", "0::/\n");
        let max = ("/sys/fs/cgroup/memory.max", "268435456\n");
        assert_eq!(with(&[V2, own, max]), Some(256 << 20));
    }

    #[test]
    fn a_limit_around_it_counts_too() {
        let own = ("/proc/self/cgroup", "0::/system.slice/app.service\n");
        let files = [
            V2,
            own,
            (
                "/sys/fs/cgroup/system.slice/app.service/memory.max",
                "max\n",
            ),
            ("/sys/fs/cgroup/system.slice/memory.max", "1000000\n"),
        ];
        assert_eq!(with(&files), Some(1_000_000));
    }

    #[test]
    fn a_container_of_version_1_has_its_limit_at_the_mount_point() {
        let max = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n");
        for path in ["/docker/abc", "/somewhere/on/the/host"] {
            let own = format!("9:name=systemd:{path}\n4:memory:{path}\n1:cpu:/\n0::/\n");
            let own = ("/proc/self/cgroup", own.as_str());
            assert_eq!(with(&[V1, own, max]), Some(512 << 20), "{path}");
        }
        let own = ("/proc/self/cgroup", "4:cpu,memory:/docker/abc/inner\n");
        let inner = (
            "/sys/fs/cgroup/memory/inner/memory.limit_in_bytes",
            "7000000\n",
        );
        assert_eq!(with(&[V1, own, max, inner]), Some(7_000_000));
    }

    #[test]
    fn no_limit_is_none() {
        let own = ("/proc/self/cgroup", "4:memory:/docker/abc\n0::/x\n");
        let none = (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        assert_eq!(with(&[V1, own, none]), None);
        assert_eq!(
            with(&[V2, own, ("/sys/fs/cgroup/x/memory.max", "max\n")]),
            None
        );
        assert_eq!(with(&[V2, own]), None);
        assert_eq!(with(&[V2]), None);
        assert_eq!(with(&[]), None, "not on Linux");
        let garbage = [
            ("/proc/self/cgroup", "0\n::\n0::\n"),
            ("/proc/self/mountinfo", "- -\n - \n"),
        ];
        assert_eq!(with(&garbage), None);
    }

    /// The mounts, the cgroups of this process, the files with limits, and what is found.
    type Shape<'s> = (&'s str, &'s str, &'s [(&'s str, &'s str)], Option<u64>);

    #[test]
    fn shapes_of_cgroups() {
        let shapes: [Shape; 14] = [
            // Hybrid: memory is of version 1, and version 2 has no controller.
            (
                "32 25 0:27 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw,nsdelegate\n\
                 36 25 0:31 / /sys/fs/cgroup/memory rw shared:14 - cgroup cgroup rw,memory\n",
                "9:memory:/user.slice\n1:name=systemd:/user.slice/a.scope\n0::/user.slice/a.scope\n",
                &[(
                    "/sys/fs/cgroup/memory/user.slice/memory.limit_in_bytes",
                    "4096000\n",
                )],
                Some(4_096_000),
            ),
            // Slices in slices: the least counts, wherever it stands.
            (
                V2.1,
                "0::/kubepods.slice/kubepods-burstable.slice/pod1.slice/cri-1.scope\n",
                &[
                    ("/sys/fs/cgroup/kubepods.slice/memory.max", "8000000\n"),
                    (
                        "/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/memory.max",
                        "max\n",
                    ),
                    (
                        "/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/pod1.slice/memory.max",
                        "5000000\n",
                    ),
                    (
                        "/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/pod1.slice/cri-1.scope/memory.max",
                        "6000000\n",
                    ),
                ],
                Some(5_000_000),
            ),
            // A container of version 2 in the host's namespace of cgroups.
            (
                "35 24 0:30 /system.slice/docker-a.scope /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
                "0::/system.slice/docker-a.scope\n",
                &[("/sys/fs/cgroup/memory.max", "3000000\n")],
                Some(3_000_000),
            ),
            // Other parts of the hierarchy are mounted as well, before and behind.
            (
                "35 24 0:30 /other /mnt/other rw - cgroup2 cgroup2 rw\n\
                 36 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
                 37 24 0:30 /another /mnt/another rw - cgroup2 cgroup2 rw\n",
                "0::/ours\n",
                &[
                    ("/mnt/other/memory.max", "1\n"),
                    ("/mnt/another/memory.max", "2\n"),
                    ("/sys/fs/cgroup/ours/memory.max", "9000000\n"),
                ],
                Some(9_000_000),
            ),
            // A name that begins with another's.
            (
                "35 24 0:30 /docker/abc /mnt/abc rw - cgroup2 cgroup2 rw\n\
                 36 24 0:30 /docker/abcdef /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
                "0::/docker/abcdef\n",
                &[
                    ("/mnt/abc/memory.max", "1\n"),
                    ("/sys/fs/cgroup/memory.max", "7000000\n"),
                ],
                Some(7_000_000),
            ),
            // A mount over another one.
            (
                "35 24 0:30 /outer /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
                 36 35 0:30 /outer/inner /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
                "0::/outer/inner\n",
                &[("/sys/fs/cgroup/memory.max", "2000000\n")],
                Some(2_000_000),
            ),
            // Blanks and backslashes, as systemd has them in its names.
            (
                "35 24 0:30 /a\\134x2db.slice /my\\040groups rw - cgroup2 cgroup2 rw\n",
                "0::/a\\x2db.slice/c d.scope\n",
                &[("/my groups/c d.scope/memory.max", "1500000\n")],
                Some(1_500_000),
            ),
            // Outside of what its namespace sees.
            (
                V2.1,
                "0::/../sibling\n",
                &[("/sys/fs/cgroup/memory.max", "2500000\n")],
                Some(2_500_000),
            ),
            // A cgroup that was removed, a colon in its name, and no file where one is expected.
            (
                V2.1,
                "0::/a:b/gone (deleted)\n",
                &[("/sys/fs/cgroup/a:b/memory.max", "1200000\n")],
                Some(1_200_000),
            ),
            // No number, one that no integer holds, the largest, and nothing.
            (
                V2.1,
                "0::/\n",
                &[("/sys/fs/cgroup/memory.max", "unlimited\n")],
                None,
            ),
            (
                V2.1,
                "0::/\n",
                &[("/sys/fs/cgroup/memory.max", "99999999999999999999999\n")],
                None,
            ),
            (
                V2.1,
                "0::/\n",
                &[("/sys/fs/cgroup/memory.max", "18446744073709551615\n")],
                None,
            ),
            (V2.1, "0::/\n", &[("/sys/fs/cgroup/memory.max", "")], None),
            (
                V2.1,
                "0::/\n",
                &[("/sys/fs/cgroup/memory.max", "0\n")],
                Some(0),
            ),
        ];
        for (mounts, cgroups, limits, expected) in shapes {
            let mut files = limits.to_vec();
            files.push(("/proc/self/mountinfo", mounts));
            files.push(("/proc/self/cgroup", cgroups));
            assert_eq!(with(&files), expected, "{cgroups} in {mounts}");
        }
    }

    #[test]
    fn a_budget_is_a_quarter_of_the_limit_within_bounds() {
        assert_eq!(budget(None), 512 << 20);
        assert_eq!(budget(Some(64 << 30)), 512 << 20);
        assert_eq!(budget(Some(256 << 20)), 64 << 20);
        assert_eq!(budget(Some(1)), 4 << 20);
    }
}
