//! `epipe_util::private`: which users can connect, which process owns the address, what is left.
//!
//! This test binary also runs as a child, for a client of another user and for a second server. An
//! environment variable has the role.

#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "std has no umask, fork or change of the user")]
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

#[path = "support/directory.rs"]
mod directory;
use directory::Directory;

impl Directory {
    fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

/// The variable with the role of a child.
const ROLE: &str = "EPIPE_ROLE";

/// A child that runs only this test, in which it plays `role`.
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

/// Runs such a child to its end, and checks that the test ran in it.
fn plays(mut child: Command) {
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let has_played = output.status.success() && said.contains("1 passed");
    assert!(has_played, "{output:?}");
}

/// Returns the path, if this process plays that role.
fn role(role: &str) -> Option<PathBuf> {
    (std::env::var(ROLE).as_deref() == Ok(role))
        .then(|| PathBuf::from(std::env::var_os("EPIPE_PATH").unwrap()))
}

/// Runs `then` with another umask. Other tests of this process must not create files meanwhile.
fn under_umask<T>(mask: u32, then: impl FnOnce() -> T) -> T {
    // SAFETY: umask takes an integer.
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
fn the_mode_is_the_requested_one_for_any_umask() {
    // In a child, because the other tests of this process share the umask.
    let Some(path) = role("umask") else {
        let directory = Directory::new();
        let me = "the_mode_is_the_requested_one_for_any_umask";
        plays(child(me, "umask", &directory.socket()));
        return;
    };
    for mask in [0, 0o022, 0o077, 0o177, 0o777] {
        for asked in [0o600, 0o660, 0o666, 0o777, 0o200, 0] {
            under_umask(mask, || {
                let (_listener, file) = private::bind(&path, asked).unwrap();
                assert_eq!(mode(&path), asked, "umask {mask:o}");
                drop(file);
                // SAFETY: umask takes an integer.
                assert_eq!(unsafe { libc::umask(mask) }, mask, "the umask has changed");
            });
        }
    }
    let (_listener, _file) = private::bind(&path, 0o600).unwrap();
    assert_eq!(mode(&path), 0o600);
}

// ----------------------------------------------------------------------- the umask race ----

const NOBODY: u32 = 65534;

/// Another user, which tries to connect in a loop until its standard input ends. Prints how often
/// it got in.
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

/// Returns how often the other user gets in while `bind` is called again and again.
fn strangers_that_got_in(test: &str, seconds: u64, bind: impl Fn(&Path)) -> u32 {
    let directory = Directory::new();
    let path = directory.socket();
    let mut stranger = child(test, "stranger", &path).spawn().unwrap();
    let mut said = stranger.stdout.take().unwrap();
    let mut first = [0; 1];
    // libtest prints first. "ready" follows on one of its lines.
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
    assert!(tries > 1000, "the other user made too few tries: {tries}");
    count.parse().unwrap()
}

#[test]
fn another_user_gets_in_with_a_later_chmod_but_not_with_bind() {
    const ME: &str = "another_user_gets_in_with_a_later_chmod_but_not_with_bind";
    if let Some(path) = role("stranger") {
        return stranger(&path);
    }
    // SAFETY: geteuid has no precondition.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("not tested: only root can become another user");
        return;
    }
    // With std: `bind` listens at once, and the mode is reduced afterwards.
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
    // The umask 0, in a child, because the umask belongs to the whole process.
    match role("umask 0") {
        None => plays(child(ME, "umask 0", Path::new(""))),
        Some(_) => under_umask(0, || {
            // On a busy machine the race takes longer.
            let control = (0..10).any(|_| strangers_that_got_in(ME, 2, by_chmod) > 0);
            assert!(control, "the control has shown no race");
            assert_eq!(strangers_that_got_in(ME, 5, private), 0);
        }),
    }
}

// ----------------------------------------------------------------------------- stale files ----

/// Binds where a socket of this process was just closed. It retries, because a child of another
/// test may hold that socket until its `exec`.
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

/// Makes the file that a killed listener leaves behind.
fn stale(path: &Path) {
    drop(std_net::UnixListener::bind(path).unwrap());
    assert!(path.exists());
    // A child of another test may hold the listener until its `exec`.
    while std_net::UnixStream::connect(path).is_ok() {}
}

#[test]
fn a_stale_file_is_replaced_but_not_a_live_one() {
    let directory = Directory::new();
    let path = directory.socket();
    stale(&path);
    let (listener, file) = bind_again(&path);
    assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
    assert_eq!(file.path(), path);
    let client = UnixStream::connect(&path).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    drop((client, accepted));

    let second = private::bind(&path, 0o600).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::AddrInUse, "{second}");
    // The check was one connection that ended, and nothing else.
    assert_eq!(listener.accept().unwrap().0.peek(&mut [0]).unwrap(), 0);
    UnixStream::connect(&path).unwrap();

    drop(file);
    assert!(directory.is_empty());
}

#[test]
fn a_full_queue_and_another_socket_type_count_as_alive() {
    let directory = Directory::new();
    let full = directory.socket();
    let listener =
        socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    listener.bind(&socket2::SockAddr::unix(&full).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let _waiting = std_net::UnixStream::connect(&full).unwrap();
    let datagrams = directory.0.join("datagrams");
    let _datagrams = std_net::UnixDatagram::bind(&datagrams).unwrap();
    for path in [&full, &datagrams] {
        let error = private::bind(path, 0o600).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
        assert!(path.exists());
    }
}

#[test]
fn a_file_that_is_not_a_socket_is_left_alone() {
    let directory = Directory::new();
    let path = directory.socket();
    let behind = directory.0.join("behind");
    let tries = |reason: &str| {
        let error = private::bind(&path, 0o600).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    };
    fs::write(&path, "content").unwrap();
    tries("not a socket");
    assert_eq!(fs::read(&path).unwrap(), b"content");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    tries("not a socket");
    fs::remove_dir(&path).unwrap();
    // A link to nothing, and one to a stale socket.
    std::os::unix::fs::symlink(&behind, &path).unwrap();
    tries("symbolic link");
    stale(&behind);
    tries("symbolic link");
    assert!(behind.exists() && path.is_symlink());
}

/// Becomes another user for the rest of the process, which must be root.
fn become_user(uid: u32, gid: u32, groups: &[u32]) {
    // SAFETY: the list is valid for the call, and the other calls take integers.
    unsafe {
        assert_eq!(libc::setgroups(groups.len() as _, groups.as_ptr()), 0);
        assert_eq!(libc::setgid(gid), 0);
        assert_eq!(libc::setuid(uid), 0);
    }
}

/// A number for a user and a group. The system needs no entry for it.
const APP: u32 = 4201;

/// A directory as operators make it, and a socket in it.
struct Row {
    mode: u32,
    owner: u32,
    group: u32,
    /// Root, the user `APP` with the main group `APP`, or `APP` with it as a further group.
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

const fn row(
    mode: u32,
    owner: u32,
    group: u32,
    by: By,
    asked: u32,
    named: Option<u32>,
    refused: Option<&'static str>,
) -> Row {
    Row { mode, owner, group, by, asked, named, refused }
}

const ROWS: [Row; 21] = [
    row(0o755, 0, 0, By::Root, 0o600, None, None),
    row(0o1777, 0, 0, By::Root, 0o600, None, None),
    row(0o1777, 0, 0, By::App, 0o600, None, None),
    // A group may write to the directory.
    row(0o775, 0, 0, By::Root, 0o600, None, Some("group")),
    row(0o775, 0, 0, By::Root, 0o660, None, None),
    row(0o775, 0, APP, By::Root, 0o660, None, Some("group")),
    row(0o775, 0, APP, By::Root, 0o660, Some(APP), None),
    row(0o2770, 0, APP, By::Root, 0o600, None, Some("group")),
    row(0o2770, 0, APP, By::Root, 0o660, None, None),
    row(0o2770, 0, APP, By::Root, 0o660, Some(0), Some("group")),
    row(0o770, 0, APP, By::App, 0o660, None, None),
    row(0o770, 0, APP, By::App, 0o600, None, Some("group")),
    row(0o770, 0, APP, By::Member, 0o660, None, Some("group")),
    row(0o770, 0, APP, By::Member, 0o660, Some(APP), None),
    row(0o770, APP, APP, By::App, 0o660, None, None),
    // All users may write to the directory.
    row(0o777, 0, 0, By::Root, 0o666, None, Some("others")),
    row(0o2777, 0, APP, By::Root, 0o660, None, Some("others")),
    row(0o777, APP, APP, By::App, 0o660, None, Some("others")),
    // The directory belongs to another user.
    row(0o700, NOBODY, 0, By::Root, 0o600, None, Some("another user")),
    row(0o1777, NOBODY, 0, By::Root, 0o600, None, Some("another user")),
    row(0o770, NOBODY, APP, By::App, 0o660, None, Some("another user")),
];

impl Row {
    /// Binds without and with `shared_directory`, as that user.
    fn play(&self, directory: &Path) {
        match self.by {
            By::Root => {}
            By::App => become_user(APP, APP, &[]),
            By::Member => become_user(APP, APP + 1, &[APP]),
        }
        let path = directory.join("socket");
        let mut address = PrivateAddress::new(&path).mode(self.asked);
        if let Some(group) = self.named {
            address = address.group(group);
        }
        match (address.bind(), self.refused) {
            (Ok((_listener, file)), None) => self.look(file.path()),
            (Err(error), Some(reason)) => {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied);
                let text = error.to_string();
                assert!(text.contains(reason) && text.contains("shared_directory"), "{error}");
            }
            (bound, refused) => panic!("{bound:?}, expected refusal: {refused:?}"),
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
fn directories_are_accepted_by_their_rights_or_by_shared_directory() {
    const ME: &str = "directories_are_accepted_by_their_rights_or_by_shared_directory";
    if let Ok(number) = std::env::var(ROLE) {
        let directory = PathBuf::from(std::env::var_os("EPIPE_PATH").unwrap());
        // This umask removes rights, so that the mode has to be set afterwards.
        return under_umask(0o077, || ROWS[number.parse::<usize>().unwrap()].play(&directory));
    }
    // SAFETY: geteuid has no precondition.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("not tested: only root can make directories of other users");
        return;
    }
    for (number, row) in ROWS.iter().enumerate() {
        let directory = Directory::new();
        std::os::unix::fs::chown(&directory.0, Some(row.owner), Some(row.group)).unwrap();
        fs::set_permissions(&directory.0, Permissions::from_mode(row.mode)).unwrap();
        println!("{:o} {}:{} by {:?}", row.mode, row.owner, row.group, row.by);
        plays(child(ME, &number.to_string(), &directory.0));
        assert!(directory.is_empty());
    }
}

/// In a shared directory a thread replaces the socket by a link, again and again.
#[test]
fn in_a_shared_directory_no_other_file_gets_the_rights() {
    const ME: &str = "in_a_shared_directory_no_other_file_gets_the_rights";
    let Some(path) = role("races") else {
        let directory = Directory::new();
        fs::set_permissions(&directory.0, Permissions::from_mode(0o777)).unwrap();
        plays(child(ME, "races", &directory.socket()));
        return;
    };
    let secret = path.with_file_name("secret");
    fs::write(&secret, "content").unwrap();
    let is_over = AtomicBool::new(false);
    // Returns how often the mode of the secret file changed during repeated calls of `bind`.
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
                    // As soon as the socket exists.
                    if path.exists() && std::os::unix::fs::symlink(&secret, &link).is_ok() {
                        let _ = fs::rename(&link, &path);
                    }
                }
            });
            // Control: bind(2) and chmod(2).
            let by_path = || {
                if let Ok(_listener) = std_net::UnixListener::bind(&path) {
                    let _ = fs::set_permissions(&path, Permissions::from_mode(0o666));
                }
            };
            // On a busy machine the race takes longer.
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
fn a_datagram_socket_receives_and_is_replaced_when_stale() {
    let directory = Directory::new();
    let path = directory.socket();
    let address = PrivateAddress::new(&path).nonblocking(true);
    drop(std_net::UnixDatagram::bind(&path).unwrap()); // leaves its file behind
    let (socket, file) = again(|| address.bind_datagram());
    assert_eq!(mode(&path), 0o600);
    assert_eq!(socket.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    // A live socket is left alone and receives nothing from the check. The same if the socket is
    // connected to another one.
    let (peer, sends) = (directory.0.join("peer"), UnixDatagram::unbound().unwrap());
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
    // A datagram socket does not replace a live listener.
    let (listener, _file) = address.bind().unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(address.bind_datagram().unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[test]
fn invalid_arguments_are_reported() {
    let directory = Directory::new();
    let path = directory.socket();
    for error in [
        private::bind(&path, 0o1600).unwrap_err(),
        private::bind("", 0o600).unwrap_err(),
        private::bind("/", 0o600).unwrap_err(),
        private::bind(directory.0.join("socket/"), 0o600).unwrap_err(),
        private::bind(directory.0.join("socket\0tail"), 0o600).unwrap_err(),
        private::bind("\0abstract", 0o600).unwrap_err(),
        private::bind(directory.0.join("x".repeat(200)), 0o600).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    // A FIFO in place of the directory is an error, without a wait.
    epipe_util::fifo::create(&path, 0o600).unwrap();
    let error = private::bind(path.join("socket"), 0o600).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotADirectory);
    fs::remove_file(&path).unwrap();
    let error = private::bind(directory.0.join("no/socket"), 0o600).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(directory.is_empty());
}

#[test]
fn another_holder_of_the_lock_does_not_block_for_ever() {
    let directory = Directory::new();
    let (_listener, file) = private::bind(directory.socket(), 0o600).unwrap();
    let holder = File::open(&directory.0).unwrap();
    // SAFETY: flock takes integers.
    let locked = unsafe { libc::flock(holder.as_raw_fd(), libc::LOCK_SH) };
    assert_eq!(locked, 0);
    let error = private::bind(directory.0.join("other"), 0o600).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    let begun = Instant::now();
    drop(file);
    assert!(directory.socket().exists(), "the file was removed without the lock");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

// --------------------------------------------------------------------------- what is removed ----

#[test]
fn only_the_bound_file_is_removed() {
    let directory = Directory::new();
    let path = directory.socket();
    // Kept.
    let (listener, file) = private::bind(&path, 0o600).unwrap();
    file.keep();
    drop(listener);
    assert!(path.exists());
    // Replaced by another listener. The second time the first listener is already closed, so that
    // the inode's number is free.
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
    // All users may write to the directory by now.
    let (listener, file) = bind_again(&path);
    fs::set_permissions(&directory.0, Permissions::from_mode(0o777)).unwrap();
    drop(file);
    assert!(directory.is_empty());
    fs::set_permissions(&directory.0, Permissions::from_mode(0o755)).unwrap();
    drop(listener);
    // Removed by another program.
    let (_listener, file) = private::bind(&path, 0o600).unwrap();
    fs::remove_file(&path).unwrap();
    drop(file);
    assert!(directory.is_empty());
}

#[test]
fn a_relative_path_is_removed_after_a_change_of_directory() {
    let Some(path) = role("relative") else {
        let directory = Directory::new();
        let me = "a_relative_path_is_removed_after_a_change_of_directory";
        plays(child(me, "relative", &directory.socket()));
        assert!(directory.is_empty());
        return;
    };
    std::env::set_current_dir(path.parent().unwrap()).unwrap();
    let (listener, file) = private::bind("socket", 0o600).unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(address.as_pathname(), Some(Path::new("socket")));
    std::env::set_current_dir("/").unwrap();
    drop(file);
}

#[test]
fn a_child_does_not_remove_the_file_of_its_parent() {
    let directory = Directory::new();
    let (_listener, file) = private::bind(directory.socket(), 0o600).unwrap();
    // SAFETY: the child only drops the file, which makes nothing but system calls, and exits.
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
    assert!(directory.socket().exists());
    drop(file);
    assert!(directory.is_empty());
}

// ------------------------------------------------------------ two servers at once ----

/// A server that starts at a given time.
///
/// It tries to bind the address, and prints whether it succeeded. At the next line it closes the
/// listener and leaves the file, like a killed process.
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

    fn send(&mut self, word: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{word}").unwrap();
    }

    fn line(&mut self) -> String {
        self.says.next().unwrap().unwrap()
    }
}

#[test]
fn of_two_servers_at_once_one_gets_the_address() {
    const ME: &str = "of_two_servers_at_once_one_gets_the_address";
    if let Some(path) = role("starter") {
        return starter(&path);
    }
    let directory = Directory::new();
    let path = directory.socket();
    stale(&path);
    let mut two = [Starter::new(ME, &path), Starter::new(ME, &path)];
    let mut owned = [0; 2];
    for round in 0..500 {
        // Both start at the same time, as far as two processors allow.
        let at = format!("start at {}", (now() + Duration::from_micros(300)).as_nanos());
        two.iter_mut().for_each(|starter| starter.send(&at));
        let answers = two.each_mut().map(|starter| starter.line());
        let owners = [0, 1].map(|n| answers[n] == "owner");
        assert!(owners[0] != owners[1], "round {round}: {answers:?}");
        assert!(answers.iter().any(|line| line == "in use"), "{answers:?}");
        owned[usize::from(owners[1])] += 1;
        UnixStream::connect(&path).unwrap();
        two.iter_mut().for_each(|starter| starter.send("end"));
        two.iter_mut().for_each(|starter| assert_eq!(starter.line(), "ended"));
        assert!(path.exists());
    }
    // The test shows something only if each server got the address at times.
    assert!(owned.iter().all(|&rounds| rounds > 0), "{owned:?}");
    for mut starter in two {
        drop(starter.child.stdin.take());
        assert!(starter.child.wait().unwrap().success());
    }
}

// ------------------------------------------------------------------ the peer's user ----

#[test]
fn accept_from_returns_the_connection_of_the_user() {
    const ME: &str = "accept_from_returns_the_connection_of_the_user";
    if let Some(path) = role("client") {
        let mut stream = std_net::UnixStream::connect(path).unwrap();
        println!("in the queue");
        // The connection of another user is closed without an answer.
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
        return;
    }
    let directory = Directory::new();
    let path = directory.socket();
    let (listener, _file) = private::bind(&path, 0o666).unwrap();
    // SAFETY: geteuid has no precondition.
    let me = unsafe { libc::geteuid() };
    let mut says = None;
    let mut stranger = (me == 0).then(|| {
        let mut command = child(ME, "client", &path);
        command.uid(NOBODY).gid(NOBODY);
        command.spawn().unwrap()
    });
    if let Some(stranger) = &mut stranger {
        // The other user's connection is first in the queue.
        let mut lines = io::BufRead::lines(io::BufReader::new(stranger.stdout.take().unwrap()));
        assert!(lines.any(|line| line.unwrap().ends_with("in the queue")));
        says = Some(lines);
    }
    let mut own = UnixStream::connect(&path).unwrap();
    own.write_all(b"me").unwrap();
    let (mut accepted, _) = private::accept_from(&listener, me).unwrap();
    let mut received = [0; 2];
    accepted.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"me");
    if let Some(stranger) = &mut stranger {
        let mut rest = says.into_iter().flatten();
        assert!(rest.any(|line| line.unwrap().contains("1 passed")));
        assert!(stranger.wait().unwrap().success());
    }
}
