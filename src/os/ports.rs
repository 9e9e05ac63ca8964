//! Whose a listening TCP port is. That something answers there does not say it.

use rustix::process::Pid;
use std::path::Path;

/// Whether a process listens on every one of `ports`, by what the kernel says of its sockets: see proc_pid_net(5). Of
/// another user's process nothing can be known, so it does not.
pub fn listens_on_all(pid: Pid, ports: &[u16]) -> bool {
    let folder = format!("/proc/{}", pid.as_raw_nonzero());
    let tables =
        ["tcp", "tcp6"].map(|name| std::fs::read_to_string(format!("{folder}/net/{name}")).unwrap_or_default());
    let listening: Vec<_> = tables.iter().flat_map(|table| table.lines().skip(1).filter_map(listener)).collect();
    let own = sockets_of(Path::new(&folder));
    let is_its = |port: u16| listening.iter().any(|&(at, inode)| at == port && own.contains(&inode));
    ports.iter().all(|&port| is_its(port))
}

/// Port and inode of a socket that listens.
fn listener(line: &str) -> Option<(u16, u64)> {
    const LISTEN: &str = "0A";
    let fields: Vec<_> = line.split_whitespace().collect();
    let (_, port) = fields.get(1)?.rsplit_once(':')?;
    (*fields.get(3)? == LISTEN).then_some(())?;
    Some((u16::from_str_radix(port, 16).ok()?, fields.get(9)?.parse().ok()?))
}

/// The inodes of the sockets that a process has open.
fn sockets_of(folder: &Path) -> Vec<u64> {
    let open = std::fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
    let targets = open.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    targets.filter_map(|target| target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_its_listeners_and_nobody_elses() {
        let listeners = ["127.0.0.1:0", "[::1]:0"].map(|at| std::net::TcpListener::bind(at).unwrap());
        let ports = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
        let this = rustix::process::getpid();
        assert!(listens_on_all(this, &ports));
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(!listens_on_all(Pid::from_child(&other), &ports));
        let _ = other.kill();
        let _ = other.wait();
        drop(listeners);
        assert!(!listens_on_all(this, &ports));
    }
}
