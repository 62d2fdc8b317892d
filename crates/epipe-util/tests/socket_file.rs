//! `epipe_util::private`: who can connect, who owns the address, and what is left of it.
//!
//! Another process plays the stranger and the second starter: this test binary once more, told by a
//! variable.

#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "umask, fork and the change of the user have no safe form")]
#![cfg(target_os = "linux")]

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net as std_net;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use epipe::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use epipe_util::private::{self, PrivateAddress, SocketFile};

#[path = "support/folder.rs"]
mod folder;
use folder::Folder;

impl Folder {
    fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

/// This test's name in a child, which plays `role` in place of the test.
const ROLE: &str = "EPIPE_ROLE";

fn child(test: &str, role: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env("EPIPE_PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Runs such a child to its end; it must have played.
fn plays(mut child: Command) {
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let has_played = output.status.success() && said.contains("1 passed");
    assert!(has_played, "{output:?}");
}

/// The path, if this process plays that role.
fn role(role: &str) -> Option<PathBuf> {
    (std::env::var(ROLE).as_deref() == Ok(role))
        .then(|| PathBuf::from(std::env::var_os("EPIPE_PATH").unwrap()))
}

/// Sets the umask of this process while it runs; other tests must not create files meanwhile.
fn under_umask<T>(mask: u32, then: impl FnOnce() -> T) -> T {
    // SAFETY: it takes an integer.
    let before = unsafe { libc::umask(mask) };
    let answer = then();
    // SAFETY: as above.
    unsafe { libc::umask(before) };
    answer
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn the_rights_are_those_asked_for_whatever_the_umask() {
    // In a child: the umask is the process's, and so are the other tests.
    let Some(path) = role("umask") else {
        let folder = Folder::new();
        let me = "the_rights_are_those_asked_for_whatever_the_umask";
        plays(child(me, "umask", &folder.socket()));
        return;
    };
    for mask in [0, 0o022, 0o077, 0o177, 0o777] {
        for asked in [0o600, 0o660, 0o666, 0o777, 0o200, 0] {
            under_umask(mask, || {
                let (_listener, file) = private::bind(&path, asked).unwrap();
                assert_eq!(mode(&path), asked, "umask {mask:o}");
                drop(file);
                // SAFETY: it takes an integer.
                assert_eq!(unsafe { libc::umask(mask) }, mask, "the umask is untouched");
            });
        }
    }
    let (_listener, _file) = private::bind(&path, 0o600).unwrap();
    assert_eq!(mode(&path), 0o600);
}

// ----------------------------------------------------------------------- the umask race ----

const NOBODY: u32 = 65534;

/// A stranger who tries to connect in a loop until its standard input ends; prints how often it got
/// in.
fn stranger(path: &Path) {
    become_user(NOBODY, NOBODY, &[]);
    println!("ready");
    let done = thread::spawn(|| io::stdin().read_to_end(&mut Vec::new()));
    let mut tries = 0_u64;
    let mut got_in = 0;
    while !done.is_finished() {
        tries += 1;
        got_in += u32::from(std_net::UnixStream::connect(path).is_ok());
    }
    println!("got in {got_in} times of {tries}");
}

/// How often the stranger gets in while `bind` is called again and again, for some seconds.
fn strangers_that_got_in(test: &str, seconds: u64, bind: impl Fn(&Path)) -> u32 {
    let folder = Folder::new();
    let path = folder.socket();
    let mut stranger = child(test, "stranger", &path).spawn().unwrap();
    let mut said = stranger.stdout.take().unwrap();
    let mut first = [0; 1];
    // libtest's own words come first; "ready" is among them.
    let mut words = Vec::new();
    while !words.ends_with(b"ready\n") {
        said.read_exact(&mut first).unwrap();
        words.push(first[0]);
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        bind(&path);
    }
    drop(stranger.stdin.take());
    let mut words = String::new();
    said.read_to_string(&mut words).unwrap();
    assert!(stranger.wait().unwrap().success());
    let count = words.split("got in ").nth(1).unwrap();
    let (count, tries) = count.split_once(" times of ").unwrap();
    let tries: u64 = tries.split_whitespace().next().unwrap().parse().unwrap();
    assert!(tries > 1000, "the stranger hardly tried: {tries}");
    count.parse().unwrap()
}

#[test]
fn a_stranger_gets_in_by_chmod_afterwards_and_not_here() {
    const ME: &str = "a_stranger_gets_in_by_chmod_afterwards_and_not_here";
    if let Some(path) = role("stranger") {
        return stranger(&path);
    }
    // SAFETY: it has no condition.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("not root: no stranger can be played");
        return;
    }
    // What std offers: bind listens at once, and the rights are cut afterwards.
    let by_chmod = |path: &Path| {
        let listener = std_net::UnixListener::bind(path).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        drop(listener);
        fs::remove_file(path).unwrap();
    };
    let private = |path: &Path| {
        let (listener, file) = private::bind(path, 0o600).unwrap();
        drop(file);
        drop(listener);
    };
    // The umask of a careless host; in a child, for it is the process's.
    match role("careless") {
        None => plays(child(ME, "careless", Path::new(""))),
        Some(_) => under_umask(0, || {
            // On a busy machine it takes longer.
            let control = (0..10).any(|_| strangers_that_got_in(ME, 2, by_chmod) > 0);
            assert!(control, "the control has shown no race");
            assert_eq!(strangers_that_got_in(ME, 5, private), 0);
        }),
    }
}

// ----------------------------------------------------------------------------- stale files ----

/// Binds where a socket of this process has just been closed: a child of another test may hold it
/// until its exec.
fn again<T>(bind: impl Fn() -> io::Result<T>) -> T {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        match bind() {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < end => {}
            bound => return bound.unwrap(),
        }
    }
}

fn bind_again(path: &Path) -> (UnixListener, SocketFile) {
    again(|| private::bind(path, 0o600))
}

/// What a listener leaves that is killed.
fn stale(path: &Path) {
    drop(std_net::UnixListener::bind(path).unwrap());
    assert!(path.exists());
    // A child of another test may hold it until its exec.
    while std_net::UnixStream::connect(path).is_ok() {}
}

#[test]
fn a_stale_file_is_replaced_and_a_live_one_left() {
    let folder = Folder::new();
    let path = folder.socket();
    stale(&path);
    let (listener, file) = bind_again(&path);
    assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
    assert_eq!(file.path(), path);
    let client = UnixStream::connect(&path).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    drop((client, accepted));

    let second = private::bind(&path, 0o600).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::AddrInUse, "{second}");
    // It was asked by a connection, which is all that it did to it.
    assert_eq!(listener.accept().unwrap().0.peek(&mut [0]).unwrap(), 0);
    UnixStream::connect(&path).unwrap();

    drop(file);
    assert!(folder.is_empty());
}

#[test]
fn a_full_queue_and_another_type_are_alive() {
    let folder = Folder::new();
    let full = folder.socket();
    let listener =
        socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    listener.bind(&socket2::SockAddr::unix(&full).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let _waiting = std_net::UnixStream::connect(&full).unwrap();
    let datagrams = folder.0.join("datagrams");
    let _datagrams = std_net::UnixDatagram::bind(&datagrams).unwrap();
    for path in [&full, &datagrams] {
        let error = private::bind(path, 0o600).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
        assert!(path.exists());
    }
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let folder = Folder::new();
    let path = folder.socket();
    let behind = folder.0.join("behind");
    let tries = |reason: &str| {
        let error = private::bind(&path, 0o600).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    };
    fs::write(&path, "content").unwrap();
    tries("no socket");
    assert_eq!(fs::read(&path).unwrap(), b"content");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    tries("no socket");
    fs::remove_dir(&path).unwrap();
    // A link, to nothing, and to a stale socket.
    std::os::unix::fs::symlink(&behind, &path).unwrap();
    tries("symbolic link");
    stale(&behind);
    tries("symbolic link");
    assert!(behind.exists() && path.is_symlink());
}

/// Becomes another user for good; the process must be root's.
fn become_user(uid: u32, gid: u32, groups: &[u32]) {
    // SAFETY: the list is valid for the call, and the others take integers.
    unsafe {
        assert_eq!(libc::setgroups(groups.len() as _, groups.as_ptr()), 0);
        assert_eq!(libc::setgid(gid), 0);
        assert_eq!(libc::setuid(uid), 0);
    }
}

/// A user and a group that need no entry anywhere.
const APP: u32 = 4201;

/// A directory where operators put sockets, and what is bound there.
struct Row {
    mode: u32,
    owner: u32,
    group: u32,
    /// By root, by the user `APP` in the group `APP`, or by `APP` as one of its further groups.
    by: By,
    asked: u32,
    named: Option<u32>,
    refused: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Root,
    App,
    Member,
}

#[rustfmt::skip]
const ROWS: [Row; 21] = [
    Row { mode: 0o755, owner: 0, group: 0, by: By::Root, asked: 0o600, named: None, refused: None },
    Row { mode: 0o1777, owner: 0, group: 0, by: By::Root, asked: 0o600, named: None, refused: None },
    Row { mode: 0o1777, owner: 0, group: 0, by: By::App, asked: 0o600, named: None, refused: None },
    // Its group, if the socket is for it.
    Row { mode: 0o775, owner: 0, group: 0, by: By::Root, asked: 0o600, named: None, refused: Some("group") },
    Row { mode: 0o775, owner: 0, group: 0, by: By::Root, asked: 0o660, named: None, refused: None },
    Row { mode: 0o775, owner: 0, group: APP, by: By::Root, asked: 0o660, named: None, refused: Some("group") },
    Row { mode: 0o775, owner: 0, group: APP, by: By::Root, asked: 0o660, named: Some(APP), refused: None },
    Row { mode: 0o2770, owner: 0, group: APP, by: By::Root, asked: 0o600, named: None, refused: Some("group") },
    Row { mode: 0o2770, owner: 0, group: APP, by: By::Root, asked: 0o660, named: None, refused: None },
    Row { mode: 0o2770, owner: 0, group: APP, by: By::Root, asked: 0o660, named: Some(0), refused: Some("group") },
    Row { mode: 0o770, owner: 0, group: APP, by: By::App, asked: 0o660, named: None, refused: None },
    Row { mode: 0o770, owner: 0, group: APP, by: By::App, asked: 0o600, named: None, refused: Some("group") },
    Row { mode: 0o770, owner: 0, group: APP, by: By::Member, asked: 0o660, named: None, refused: Some("group") },
    Row { mode: 0o770, owner: 0, group: APP, by: By::Member, asked: 0o660, named: Some(APP), refused: None },
    Row { mode: 0o770, owner: APP, group: APP, by: By::App, asked: 0o660, named: None, refused: None },
    // Anyone.
    Row { mode: 0o777, owner: 0, group: 0, by: By::Root, asked: 0o666, named: None, refused: Some("others") },
    Row { mode: 0o2777, owner: 0, group: APP, by: By::Root, asked: 0o660, named: None, refused: Some("others") },
    Row { mode: 0o777, owner: APP, group: APP, by: By::App, asked: 0o660, named: None, refused: Some("others") },
    // Another user's.
    Row { mode: 0o700, owner: NOBODY, group: 0, by: By::Root, asked: 0o600, named: None, refused: Some("another user") },
    Row { mode: 0o1777, owner: NOBODY, group: 0, by: By::Root, asked: 0o600, named: None, refused: Some("another user") },
    Row { mode: 0o770, owner: NOBODY, group: APP, by: By::App, asked: 0o660, named: None, refused: Some("another user") },
];

impl Row {
    /// Binds with and without the waiver, as that user.
    fn play(&self, folder: &Path) {
        match self.by {
            By::Root => {}
            By::App => become_user(APP, APP, &[]),
            By::Member => become_user(APP, APP + 1, &[APP]),
        }
        let path = folder.join("socket");
        let mut address = PrivateAddress::new(&path).mode(self.asked);
        if let Some(group) = self.named {
            address = address.group(group);
        }
        match (address.bind(), self.refused) {
            (Ok((_listener, file)), None) => self.look(file.path()),
            (Err(error), Some(reason)) => {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied);
                let said = error.to_string();
                assert!(said.contains(reason) && said.contains("shared_directory"), "{error}");
            }
            (bound, expected) => panic!("{bound:?} and not {expected:?}"),
        }
        assert!(!path.exists());
        let address = address.shared_directory(true);
        let (_listener, file) = address.bind().unwrap();
        self.look(file.path());
        drop(file);
        let (_socket, file) = address.bind_datagram().unwrap();
        self.look(file.path());
    }

    fn look(&self, path: &Path) {
        assert_eq!(mode(path), self.asked);
        if let Some(group) = self.named {
            assert_eq!(fs::symlink_metadata(path).unwrap().gid(), group);
        }
    }
}

#[test]
fn directories_of_operators_are_taken_by_their_rights_or_by_the_waiver() {
    const ME: &str = "directories_of_operators_are_taken_by_their_rights_or_by_the_waiver";
    if let Ok(number) = std::env::var(ROLE) {
        let folder = PathBuf::from(std::env::var_os("EPIPE_PATH").unwrap());
        // A umask that cuts, so that the rights have to be set.
        return under_umask(0o077, || ROWS[number.parse::<usize>().unwrap()].play(&folder));
    }
    // SAFETY: it has no condition.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("not root: directories of other users cannot be made");
        return;
    }
    for (number, row) in ROWS.iter().enumerate() {
        let folder = Folder::new();
        std::os::unix::fs::chown(&folder.0, Some(row.owner), Some(row.group)).unwrap();
        fs::set_permissions(&folder.0, Permissions::from_mode(row.mode)).unwrap();
        println!("{:o} {}:{} by {:?}", row.mode, row.owner, row.group, row.by);
        plays(child(ME, &number.to_string(), &folder.0));
        assert!(folder.is_empty());
    }
}

/// Somebody in a shared directory puts a link in the place of the socket, again and again.
#[test]
fn in_a_shared_directory_no_other_file_gets_the_rights() {
    const ME: &str = "in_a_shared_directory_no_other_file_gets_the_rights";
    let Some(path) = role("races") else {
        let folder = Folder::new();
        fs::set_permissions(&folder.0, Permissions::from_mode(0o777)).unwrap();
        plays(child(ME, "races", &folder.socket()));
        return;
    };
    let secret = path.with_file_name("secret");
    fs::write(&secret, "content").unwrap();
    let is_over = AtomicBool::new(false);
    // How often the secret's rights changed while `bind` was called again and again.
    let changed = |seconds, bind: &dyn Fn()| {
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut count = 0;
        while Instant::now() < end {
            fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
            bind();
            count += u32::from(mode(&secret) != 0o600);
            let _ = fs::remove_file(&path);
        }
        count
    };
    under_umask(0o077, || {
        thread::scope(|threads| {
            threads.spawn(|| {
                let link = path.with_file_name("link");
                while !is_over.load(Ordering::Relaxed) {
                    // As soon as the socket is there.
                    if path.exists() && std::os::unix::fs::symlink(&secret, &link).is_ok() {
                        let _ = fs::rename(&link, &path);
                    }
                }
            });
            // The control, as bind(2) and chmod(2) do it.
            let by_path = || {
                if let Ok(_listener) = std_net::UnixListener::bind(&path) {
                    let _ = fs::set_permissions(&path, Permissions::from_mode(0o666));
                }
            };
            // On a busy machine it takes longer.
            let control = (0..10).any(|_| changed(2, &by_path) > 0);
            let here = changed(4, &|| {
                let address = PrivateAddress::new(&path).mode(0o666).shared_directory(true);
                drop(address.bind());
            });
            is_over.store(true, Ordering::Relaxed);
            assert!(control, "the control has shown no race");
            assert_eq!(here, 0);
        });
    });
}

#[test]
fn a_datagram_address_receives_and_is_replaced_when_stale() {
    let folder = Folder::new();
    let path = folder.socket();
    let address = PrivateAddress::new(&path).nonblocking(true);
    drop(std_net::UnixDatagram::bind(&path).unwrap()); // it leaves its file
    let (socket, file) = again(|| address.bind_datagram());
    assert_eq!(mode(&path), 0o600);
    assert_eq!(socket.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    // One that lives is left, also if it is connected to another; it receives nothing of it.
    let (peer, sends) = (folder.0.join("peer"), UnixDatagram::unbound().unwrap());
    let _peer = UnixDatagram::bind(&peer).unwrap();
    for is_connected in [false, true] {
        if is_connected {
            socket.connect(&peer).unwrap();
        }
        for error in [address.bind_datagram().unwrap_err(), address.bind().unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
        }
        assert_eq!(socket.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        if !is_connected {
            sends.send_to(b"x", &path).unwrap();
            assert_eq!(socket.recv(&mut [0]).unwrap(), 1);
        }
    }
    drop(file);
    assert!(!path.exists());
    // A socket for datagrams does not replace a listener that lives.
    let (listener, _file) = address.bind().unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(address.bind_datagram().unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[test]
fn bad_arguments_are_told() {
    let folder = Folder::new();
    let path = folder.socket();
    for error in [
        private::bind(&path, 0o1600).unwrap_err(),
        private::bind("", 0o600).unwrap_err(),
        private::bind("/", 0o600).unwrap_err(),
        private::bind(folder.0.join("socket/"), 0o600).unwrap_err(),
        private::bind(folder.0.join("socket\0tail"), 0o600).unwrap_err(),
        private::bind("\0abstract", 0o600).unwrap_err(),
        private::bind(folder.0.join("x".repeat(200)), 0o600).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    // A FIFO that stands for the folder is not waited for.
    epipe_util::fifo::create(&path, 0o600).unwrap();
    let error = private::bind(path.join("socket"), 0o600).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotADirectory);
    fs::remove_file(&path).unwrap();
    let error = private::bind(folder.0.join("no/socket"), 0o600).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(folder.is_empty());
}

#[test]
fn somebody_who_holds_the_lock_does_not_stop_it_for_ever() {
    let folder = Folder::new();
    let (_listener, file) = private::bind(folder.socket(), 0o600).unwrap();
    let holder = File::open(&folder.0).unwrap();
    // SAFETY: it takes integers.
    let locked = unsafe { libc::flock(holder.as_raw_fd(), libc::LOCK_SH) };
    assert_eq!(locked, 0);
    let error = private::bind(folder.0.join("other"), 0o600).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    let begun = Instant::now();
    drop(file);
    assert!(folder.socket().exists(), "removed without the lock");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

// --------------------------------------------------------------------------- what is removed ----

#[test]
fn a_file_is_removed_only_if_it_is_ours() {
    let folder = Folder::new();
    let path = folder.socket();
    // Kept.
    let (listener, file) = private::bind(&path, 0o600).unwrap();
    file.keep();
    drop(listener);
    assert!(path.exists());
    // Replaced by somebody; also when the listener was closed before, and the inode's number is
    // free.
    for close_first in [false, true] {
        let (listener, file) = bind_again(&path);
        let mut listener = Some(listener);
        fs::remove_file(&path).unwrap();
        if close_first {
            listener = None;
        }
        let others = std_net::UnixListener::bind(&path).unwrap();
        drop(file);
        assert!(path.exists(), "closed first: {close_first}");
        drop((listener, others));
        fs::remove_file(&path).unwrap();
    }
    // Its folder has come to be anybody's.
    let (listener, file) = bind_again(&path);
    fs::set_permissions(&folder.0, Permissions::from_mode(0o777)).unwrap();
    drop(file);
    assert!(folder.is_empty());
    fs::set_permissions(&folder.0, Permissions::from_mode(0o755)).unwrap();
    drop(listener);
    // Removed by somebody.
    let (_listener, file) = private::bind(&path, 0o600).unwrap();
    fs::remove_file(&path).unwrap();
    drop(file);
    assert!(folder.is_empty());
}

#[test]
fn a_relative_path_is_removed_from_where_it_was() {
    let Some(path) = role("relative") else {
        let folder = Folder::new();
        let me = "a_relative_path_is_removed_from_where_it_was";
        plays(child(me, "relative", &folder.socket()));
        assert!(folder.is_empty());
        return;
    };
    std::env::set_current_dir(path.parent().unwrap()).unwrap();
    let (listener, file) = private::bind("socket", 0o600).unwrap();
    let told = listener.local_addr().unwrap();
    assert_eq!(told.as_pathname(), Some(Path::new("socket")));
    std::env::set_current_dir("/").unwrap();
    drop(file);
}

#[test]
fn a_child_does_not_remove_what_its_parent_has_bound() {
    let folder = Folder::new();
    let (_listener, file) = private::bind(folder.socket(), 0o600).unwrap();
    // SAFETY: the child drops the file, which makes system calls alone, and ends.
    unsafe {
        match libc::fork() {
            0 => {
                drop(std::ptr::read(&file));
                libc::_exit(0);
            }
            child => {
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                assert_eq!(status, 0);
            }
        }
    }
    assert!(folder.socket().exists());
    drop(file);
    assert!(folder.is_empty());
}

// ------------------------------------------------------------------------------ two starters ----

/// A starter: told when, it tries to become the owner, and says whether it is. At the next line it
/// dies in effect: the listener goes, the file stays.
fn starter(path: &Path) {
    println!("ready");
    let mut owned: Option<(UnixListener, SocketFile)> = None;
    for line in io::stdin().lines() {
        match line.unwrap().strip_prefix("start at ") {
            Some(time) => {
                let time = Duration::from_nanos(time.parse().unwrap());
                while now() < time {
                    std::hint::spin_loop();
                }
                match private::bind(path, 0o600) {
                    Ok(both) => {
                        owned = Some(both);
                        println!("owner");
                    }
                    Err(error) if error.kind() == ErrorKind::AddrInUse => println!("in use"),
                    Err(error) => println!("error {error}"),
                }
            }
            None => {
                if let Some((listener, file)) = owned.take() {
                    file.keep();
                    drop(listener);
                }
                println!("ended");
            }
        }
    }
}

/// A clock that two processes share.
fn now() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap()
}

struct Starter {
    child: Child,
    says: io::Lines<io::BufReader<std::process::ChildStdout>>,
}

impl Starter {
    fn new(test: &str, path: &Path) -> Starter {
        let mut child = child(test, "starter", path).spawn().unwrap();
        let says = io::BufRead::lines(io::BufReader::new(child.stdout.take().unwrap()));
        let mut starter = Starter { child, says };
        while !starter.line().ends_with("ready") {}
        starter
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{word}").unwrap();
    }

    fn line(&mut self) -> String {
        self.says.next().unwrap().unwrap()
    }
}

#[test]
fn of_two_that_start_at_once_one_owns_the_address() {
    const ME: &str = "of_two_that_start_at_once_one_owns_the_address";
    if let Some(path) = role("starter") {
        return starter(&path);
    }
    let folder = Folder::new();
    let path = folder.socket();
    stale(&path);
    let mut two = [Starter::new(ME, &path), Starter::new(ME, &path)];
    let mut owned = [0; 2];
    for round in 0..500 {
        // Both at once, as near as two processors can be.
        let at = format!("start at {}", (now() + Duration::from_micros(300)).as_nanos());
        two.iter_mut().for_each(|starter| starter.tell(&at));
        let said = two.each_mut().map(|starter| starter.line());
        let owners = [0, 1].map(|n| said[n] == "owner");
        assert!(owners[0] != owners[1], "round {round}: {said:?}");
        assert!(said.iter().any(|line| line == "in use"), "{said:?}");
        owned[usize::from(owners[1])] += 1;
        UnixStream::connect(&path).unwrap();
        two.iter_mut().for_each(|starter| starter.tell("end"));
        two.iter_mut().for_each(|starter| assert_eq!(starter.line(), "ended"));
        assert!(path.exists());
    }
    // Without a chance for both it would show nothing.
    assert!(owned.iter().all(|&rounds| rounds > 0), "{owned:?}");
    for mut starter in two {
        drop(starter.child.stdin.take());
        assert!(starter.child.wait().unwrap().success());
    }
}

// ---------------------------------------------------------------------------------- who it is ----

#[test]
fn accept_from_takes_the_users_own() {
    const ME: &str = "accept_from_takes_the_users_own";
    if let Some(path) = role("client") {
        let mut stream = std_net::UnixStream::connect(path).unwrap();
        println!("in the queue");
        // A stranger is closed without a word.
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
        return;
    }
    let folder = Folder::new();
    let path = folder.socket();
    let (listener, _file) = private::bind(&path, 0o666).unwrap();
    // SAFETY: it has no condition.
    let me = unsafe { libc::geteuid() };
    let mut says = None;
    let mut stranger = (me == 0).then(|| {
        let mut command = child(ME, "client", &path);
        command.uid(NOBODY).gid(NOBODY);
        command.spawn().unwrap()
    });
    if let Some(stranger) = &mut stranger {
        // It is first there.
        let mut lines = io::BufRead::lines(io::BufReader::new(stranger.stdout.take().unwrap()));
        assert!(lines.any(|line| line.unwrap().ends_with("in the queue")));
        says = Some(lines);
    }
    let mut own = UnixStream::connect(&path).unwrap();
    own.write_all(b"me").unwrap();
    let (mut accepted, _) = private::accept_from(&listener, me).unwrap();
    let mut said = [0; 2];
    accepted.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"me");
    if let Some(stranger) = &mut stranger {
        let mut rest = says.into_iter().flatten();
        assert!(rest.any(|line| line.unwrap().contains("1 passed")));
        assert!(stranger.wait().unwrap().success());
    }
}
