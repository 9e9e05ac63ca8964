//! Who else than this user may change what lies at a path. Nothing is changed or opened here.
//!
//! Root may do anything in any case, and whoever owns the root folder rules the machine. Everybody else is a stranger:
//! in a folder that a stranger may write to, any name may be another file a moment later, or a link to one.

use crate::error::Error;
use rustix::fs::{AtFlags, CWD, FileType, Stat};
use rustix::process::geteuid;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Links that lead to links are followed so often, as the kernel does.
const MOST_LINKS: usize = 40;
const STICKY: u32 = 0o1000;

/// A folder that strangers rule over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Others {
    pub folder: PathBuf,
    pub by: By,
}

/// By what they rule over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// It is this user's.
    Owning(u32),
    /// Its permission bits let them write.
    Writing(u32),
}

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.display();
        match self.by {
            By::Owning(user) => write!(f, "another user (uid {user}) owns {folder}"),
            By::Writing(mode) => write!(f, "other users may write to {folder} (mode {mode:04o})"),
        }
    }
}

impl Others {
    /// What takes it from them; `None` where only its owner can.
    pub fn remedy(&self) -> Option<String> {
        matches!(self.by, By::Writing(_)).then(|| format!("chmod go-w {}", self.folder.display()))
    }
}

/// The first folder on the way to `folder`, which is the path without links, or that folder itself, that lets strangers
/// change what lies in `folder`.
///
/// # Errors
/// The system's.
pub fn rule(folder: &Path) -> io::Result<Option<Others>> {
    let mut way: Vec<_> = folder.ancestors().collect();
    way.reverse();
    for at in way {
        let stat = rustix::fs::statat(CWD, at, AtFlags::SYMLINK_NOFOLLOW)?;
        let by = match stat.st_mode & 0o7777 {
            _ if is_stranger(stat.st_uid) => By::Owning(stat.st_uid),
            // There they may only add what is not there.
            mode if mode & STICKY != 0 && at != folder => continue,
            mode if others_write(&stat) => By::Writing(mode),
            _ => continue,
        };
        return Ok(Some(Others { folder: at.to_owned(), by }));
    }
    Ok(None)
}

/// Whether a user is neither this one nor one who may do anything.
pub fn is_stranger(user: u32) -> bool {
    let rules = || rustix::fs::stat("/").is_ok_and(|root| root.st_uid == user);
    user != 0 && user != geteuid().as_raw() && !rules()
}

/// Whether everybody may add files to a folder, but only remove their own: `/tmp` is one.
pub fn is_shared(folder: &Stat) -> bool {
    folder.st_mode & STICKY != 0 && others_write(folder)
}

/// What a name is, before it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// No symbolic link, and nothing perhaps. It may be one by the time it is opened: that must not follow it.
    None,
    /// One that nobody else may have put there, or may exchange, and neither any that it leads to.
    Own,
    /// One that a stranger may have a hand in.
    Strangers,
}

impl Link {
    /// What is at `path`.
    pub fn at(path: &Path) -> Self {
        let mut path = path.to_owned();
        for followed in 0..MOST_LINKS {
            let end = if followed == 0 { Self::None } else { Self::Own };
            let Ok(stat) = rustix::fs::lstat(&path) else { return end };
            if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
                return end;
            }
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
                _ => PathBuf::from("."),
            };
            let Ok(around) = rustix::fs::stat(&folder) else { return Self::Strangers };
            let may_exchange = is_stranger(around.st_uid) || others_write(&around) && around.st_mode & STICKY == 0;
            if is_stranger(stat.st_uid) || may_exchange {
                return Self::Strangers;
            }
            // The kernel's own lead to what is open, and have no path to go on with.
            if folder.canonicalize().is_ok_and(|folder| folder.starts_with("/proc")) {
                return Self::Own;
            }
            let Ok(target) = std::fs::read_link(&path) else { return Self::Strangers };
            path = folder.join(target);
        }
        Self::Own
    }

    /// Whether `path` is a link, which may be followed then.
    ///
    /// # Errors
    /// It is one that a stranger may have a hand in.
    pub fn is_own_at(path: &Path) -> Result<bool, Error> {
        match Self::at(path) {
            Self::None => Ok(false),
            Self::Own => Ok(true),
            Self::Strangers => Err(Error::input(
                "link-of-others",
                format!(
                    "{} is a symbolic link that another user may have put there; it was not followed",
                    path.display()
                ),
                "name the file itself, in a folder that only you may write to",
            )),
        }
    }
}

fn others_write(stat: &Stat) -> bool {
    stat.st_mode & 0o002 != 0 || stat.st_mode & 0o020 != 0 && !is_private(stat.st_gid)
}

/// Whether nobody but this user is in a group. Where each user has a group of their own, their folders are made with
/// write permission for it; root's are not.
fn is_private(group: u32) -> bool {
    let user = geteuid().as_raw();
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    user != 0 && is_private_in(group, user, &read("/etc/passwd"), &read("/etc/group"))
}

/// By the texts of passwd(5) and group(5).
fn is_private_in(group: u32, user: u32, passwd: &str, groups: &str) -> bool {
    let mut names = Vec::new();
    for line in passwd.lines() {
        let fields: Vec<_> = line.split(':').collect();
        let [name, _, uid, gid, ..] = *fields else { continue };
        let number = |text: &str| text.parse::<u32>().ok();
        if number(uid) == Some(user) {
            names.push(name);
        } else if number(gid) == Some(group) {
            return false;
        }
    }
    let members = groups.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let [_, _, gid, members] = *fields else { return None };
        (gid.parse() == Ok(group)).then_some(members)
    });
    members.is_some_and(|members| members.split(',').all(|name| name.is_empty() || names.contains(&name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn folders_that_others_may_write_to_are_told_from_ones_own() {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().canonicalize().unwrap();
        let inner = top.join("inner");
        std::fs::create_dir(&inner).unwrap();
        chmod(&inner, 0o755);
        assert_eq!(rule(&inner).unwrap(), None, "in /tmp, which is sticky");
        for mode in [0o757, 0o777, 0o1777] {
            chmod(&inner, mode);
            let others = rule(&inner).unwrap().unwrap();
            assert_eq!(others, Others { folder: inner.clone(), by: By::Writing(mode) });
            assert_eq!(others.remedy().unwrap(), format!("chmod go-w {}", inner.display()));
        }
        chmod(&inner, 0o755);
        chmod(&top, 0o777);
        assert_eq!(rule(&inner).unwrap().unwrap().folder, top, "they may put another one in its place");
        chmod(&top, 0o1777);
        assert_eq!(rule(&inner).unwrap(), None, "they may not: it is sticky");
        if std::os::unix::fs::chown(&inner, Some(12_345), None).is_ok() {
            let others = rule(&inner).unwrap().unwrap();
            assert_eq!((others.by, others.remedy()), (By::Owning(12_345), None));
        }
    }

    #[test]
    fn a_link_leads_astray_where_others_may_put_one() {
        let folder = tempfile::tempdir().unwrap();
        let (link, file) = (folder.path().join("link"), folder.path().join("file"));
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert_eq!(
            [&link, &file, &folder.path().join("none")].map(|it| Link::at(it)),
            [Link::Own, Link::None, Link::None]
        );
        assert_eq!(["/dev/stdout", "/proc/self/fd/1"].map(|it| Link::at(Path::new(it))), [Link::Own; 2]);
        chmod(folder.path(), 0o777);
        assert_eq!([&link, &file].map(|it| Link::at(it)), [Link::Strangers, Link::None]);
        chmod(folder.path(), 0o1777);
        assert_eq!(Link::at(&link), Link::Own, "nobody else may exchange it");
        let (user, group) = (rustix::fs::Uid::from_raw(12_345), rustix::fs::Gid::from_raw(12_345));
        if rustix::fs::chownat(CWD, &link, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            assert_eq!(Link::at(&link), Link::Strangers, "it is another user's");
            let second = folder.path().join("second");
            std::os::unix::fs::symlink("link", &second).unwrap();
            assert_eq!(Link::at(&second), Link::Strangers, "one's own that leads there");
        }
    }

    #[test]
    fn a_group_is_private_that_nobody_else_is_in() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/:\nbob:x:1001:1001::/:\neve:x:1002:1001::/:\n";
        let groups = "root:x:0:\nann:x:1000:\nbob:x:1001:bob\nvideo:x:44:ann,bob\nmine:x:50:ann\n";
        let private = |group, user| is_private_in(group, user, passwd, groups);
        assert!(private(1000, 1000) && private(50, 1000));
        assert!(!private(1001, 1001), "it is the first group of somebody else");
        assert!(!private(44, 1000), "somebody else is a member");
        assert!(!private(77, 1000), "nothing is known of it");
    }
}
