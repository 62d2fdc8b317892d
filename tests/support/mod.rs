//! What the tests share: broken connections, and calls that ask and change signals.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(unsafe_code, reason = "signals and poll have no safe form")]

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

/// The emulator for a program that the kernel cannot run, with its arguments, separated by spaces.
const RUNNER: &str = "EPIPE_RUNNER";

/// A command that runs this program again, by the runner if there is one.
pub fn this_program() -> Command {
    let runner = std::env::var(RUNNER).unwrap_or_default();
    let program = std::env::current_exe().unwrap();
    let mut words = runner.split_whitespace().map(OsStr::new).chain([program.as_os_str()]);
    let mut command = Command::new(words.next().expect("the list has at least the program"));
    command.args(words);
    command
}

// --------------------------------------------------------------------------- signals ----

/// Sets what SIGPIPE does in this process.
pub fn dispose(disposition: libc::sighandler_t) {
    set_handler(libc::SIGPIPE, disposition, 0);
}

/// What SIGPIPE does in this process.
pub fn disposition() -> libc::sighandler_t {
    action().sa_sigaction
}

/// The whole action of SIGPIPE.
pub fn action() -> libc::sigaction {
    // SAFETY: the action is valid for the call, which writes it.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        assert_eq!(libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut action), 0);
        action
    }
}

/// A handler that a host has installed.
pub fn hosts_handler() -> libc::sighandler_t {
    extern "C" fn hosts_own(_: libc::c_int) {}
    hosts_own as extern "C" fn(libc::c_int) as usize
}

/// Installs a handler with flags.
pub fn set_handler(signal: libc::c_int, handler: libc::sighandler_t, flags: libc::c_int) {
    // SAFETY: all zeros is a valid sigaction. The caller's handler is a function or a disposition.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags as _;
        assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
    }
}

fn only(signal: libc::c_int) -> libc::sigset_t {
    // SAFETY: sigemptyset initialises the set.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        set
    }
}

/// Blocks (`SIG_BLOCK`) or unblocks (`SIG_UNBLOCK`) SIGPIPE on this thread.
pub fn mask(how: libc::c_int) {
    mask_signal(how, libc::SIGPIPE);
}

/// The same for any signal.
pub fn mask_signal(how: libc::c_int, signal: libc::c_int) {
    // SAFETY: the set is initialised, and valid for the call.
    let answer = unsafe { libc::pthread_sigmask(how, &only(signal), std::ptr::null_mut()) };
    assert_eq!(answer, 0);
}

/// Whether SIGPIPE is blocked on this thread.
pub fn is_blocked() -> bool {
    is_signal_blocked(libc::SIGPIPE)
}

/// The same for any signal.
pub fn is_signal_blocked(signal: libc::c_int) -> bool {
    // SAFETY: the old set is valid for the call. A null new set changes nothing.
    unsafe {
        let mut set = mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut set);
        libc::sigismember(&set, signal) == 1
    }
}

/// Whether a SIGPIPE is pending on this thread or its process.
pub fn is_pending() -> bool {
    is_pending_signal(libc::SIGPIPE)
}

fn is_pending_signal(signal: libc::c_int) -> bool {
    // SAFETY: the set is valid for the call, which writes it.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigpending(&mut set);
        libc::sigismember(&set, signal) == 1
    }
}

/// Takes a pending SIGPIPE. Returns whether there was one.
pub fn take_pending() -> bool {
    take_pending_signal(libc::SIGPIPE)
}

/// The same for any signal. Some systems lack sigtimedwait, so no other thread may take the signal
/// meanwhile.
pub fn take_pending_signal(signal: libc::c_int) -> bool {
    let mut taken = 0;
    // SAFETY: the set and the number are valid for the call.
    is_pending_signal(signal) && unsafe { libc::sigwait(&only(signal), &mut taken) } == 0
}

/// Whether a call raises SIGPIPE here. The signal is blocked on this thread meanwhile.
pub fn raises<T>(call: impl FnOnce() -> T) -> bool {
    mask(libc::SIG_BLOCK);
    drop(call());
    let raised = take_pending();
    mask(libc::SIG_UNBLOCK);
    raised
}

/// Raises SIGPIPE at this thread.
pub fn raise_at_thread() {
    // SAFETY: pthread_self is this thread.
    let answer = unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGPIPE) };
    assert_eq!(answer, 0);
}

/// Raises SIGPIPE at this process.
pub fn raise_at_process() {
    // SAFETY: getpid is this process.
    assert_eq!(unsafe { libc::kill(libc::getpid(), libc::SIGPIPE) }, 0);
}

/// `write(2)`, as foreign code makes it.
pub fn foreign_write(fd: impl AsFd, buf: &[u8]) -> io::Result<usize> {
    // SAFETY: the buffer is valid for the call.
    let written = unsafe { libc::write(fd.as_fd().as_raw_fd(), buf.as_ptr().cast(), buf.len()) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

/// A function of a library, by `dlopen`. The function takes a descriptor.
#[cfg(not(target_env = "musl"))]
pub fn load(
    library: &std::ffi::CStr,
    name: &std::ffi::CStr,
) -> extern "C" fn(RawFd) -> libc::c_long {
    // SAFETY: both strings end with a zero. The library is never unloaded. The caller names a
    // function of this type.
    unsafe {
        let handle = libc::dlopen(library.as_ptr(), libc::RTLD_NOW);
        assert!(!handle.is_null());
        let function = libc::dlsym(handle, name.as_ptr());
        assert!(!function.is_null());
        mem::transmute::<*mut libc::c_void, extern "C" fn(RawFd) -> libc::c_long>(function)
    }
}

// ------------------------------------------------------------------------ connections ----

const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the kernel is Linux, without the model of another kernel.
const IS_LINUX: bool =
    cfg!(any(target_os = "android", target_os = "linux")) && option_env!("EPIPE_SYSTEM").is_none();

/// Waits until poll(2) reports one of `events`, or the end.
pub fn wait(fd: RawFd, events: libc::c_short) {
    let mut poll = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one pollfd, valid for the call.
    let answer = unsafe { libc::poll(&mut poll, 1, PATIENCE.as_millis() as libc::c_int) };
    assert_eq!(answer, 1, "the break has not arrived");
}

/// Waits until the kernel has seen the peer's reset: the socket then has no peer. Not every poll(2)
/// reports a reset: NetBSD's does not, and XNU's does only with a requested event.
pub fn wait_for_reset(socket: BorrowedFd<'_>) {
    let begun = Instant::now();
    while SockRef::from(&socket).peer_addr().is_ok() {
        assert!(begun.elapsed() < PATIENCE, "the reset has not arrived");
        thread::yield_now();
    }
}

/// The event by which poll(2) reports a FIN. Without POLLRDHUP, the end is readable, like the data
/// before it.
fn fin() -> libc::c_short {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    {
        let (ours, _) = unix_pair().unwrap();
        let mut poll = libc::pollfd { fd: ours.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
        // SAFETY: one pollfd, valid for the call.
        unsafe { libc::poll(&mut poll, 1, 0) };
        if poll.revents & libc::POLLRDHUP != 0 {
            return libc::POLLRDHUP; // gVisor has none
        }
    }
    libc::POLLIN
}

/// A socket without the option. On some systems std and socket2 set it on theirs.
fn unprotected(socket: Socket) -> io::Result<Socket> {
    socket.set_cloexec(true)?;
    Ok(socket)
}

/// The two ends of a TCP connection over loopback, as a C program makes them.
pub fn tcp_pair(address: &str) -> io::Result<(OwnedFd, OwnedFd)> {
    let address: SocketAddr = address.parse().expect("an address");
    let new = || unprotected(Socket::new_raw(Domain::for_address(address), Type::STREAM, None)?);
    let (listener, ours) = (new()?, new()?);
    listener.bind(&address.into())?;
    listener.listen(1)?;
    ours.connect(&listener.local_addr()?)?;
    let theirs = unprotected(listener.accept_raw()?.0)?;
    Ok((ours.into(), theirs.into()))
}

/// The two ends of a Unix stream connection, as a C program makes them.
pub fn unix_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = Socket::pair_raw(Domain::UNIX, Type::STREAM, None)?;
    Ok((unprotected(ours)?.into(), unprotected(theirs)?.into()))
}

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Break {
    /// The peer resets: it closes with a linger of zero.
    Rst,
    /// The same, and a read has taken the ECONNRESET.
    RstRead,
    /// The peer closes with unread data, which resets on Linux.
    Unread,
    /// The peer closes without a reset. The first write causes the reset.
    Fin,
    /// FIN and then RST have arrived.
    FinRst,
    /// This side has shut down its sending half.
    OwnShutdown,
    /// The peer of a Unix socket is closed.
    Closed,
    /// The same, with unread data.
    ClosedUnread,
}

/// What writes report after a reset. Only Linux reports the reset. Elsewhere the send checks first
/// whether the socket can send at all (XNU, NetBSD and FreeBSD uipc_socket.c `sosend`).
pub const RESET: &[&str] = if IS_LINUX { &["ECONNRESET", "EPIPE"] } else { &["EPIPE"] };

impl Break {
    pub const TCP: &[Break] = &[
        Break::Rst,
        Break::RstRead,
        #[cfg(any(target_os = "android", target_os = "linux"))]
        Break::Unread,
        Break::Fin,
        Break::FinRst,
        Break::OwnShutdown,
    ];
    pub const UNIX: &[Break] = &[Break::Closed, Break::ClosedUnread, Break::OwnShutdown];

    /// What the writes report, in order.
    pub fn answers(self) -> &'static [&'static str] {
        match self {
            Break::Rst | Break::Unread => RESET,
            Break::Fin => &["ok", "EPIPE"],
            _ => &["EPIPE"],
        }
    }

    /// Breaks the connection of `ours`, and waits until the kernel has seen it.
    pub fn apply(self, ours: BorrowedFd<'_>, theirs: OwnedFd) -> io::Result<()> {
        let fd = ours.as_raw_fd();
        match self {
            Break::Rst => {
                SockRef::from(&theirs).set_linger(Some(Duration::ZERO))?;
                drop(theirs);
                wait_for_reset(ours);
            }
            Break::RstRead => {
                Break::Rst.apply(ours, theirs)?;
                let error = SockRef::from(&ours).take_error()?;
                assert_eq!(error.and_then(|e| e.raw_os_error()), Some(libc::ECONNRESET));
            }
            Break::Unread => {
                SockRef::from(&ours).send(b"unread")?; // not broken yet
                wait(theirs.as_raw_fd(), libc::POLLIN);
                drop(theirs);
                wait_for_reset(ours);
            }
            Break::Fin => {
                drop(theirs);
                wait(fd, fin());
            }
            Break::FinRst => {
                SockRef::from(&theirs).shutdown(Shutdown::Write)?;
                wait(fd, fin());
                SockRef::from(&theirs).set_linger(Some(Duration::ZERO))?;
                drop(theirs);
                wait_for_reset(ours);
            }
            Break::OwnShutdown => {
                SockRef::from(&ours).shutdown(Shutdown::Write)?;
                mem::forget(theirs); // it stays open until the child ends
            }
            Break::Closed => drop(theirs),
            Break::ClosedUnread => {
                SockRef::from(&ours).send(b"unread")?;
                drop(theirs);
            }
        }
        Ok(())
    }
}

/// A pipe whose reader is gone.
pub fn broken_pipe() -> OwnedFd {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// From here on, this process cannot open a descriptor.
pub fn forbid_descriptors() {
    let none = libc::rlimit { rlim_cur: 3, rlim_max: 3 };
    // SAFETY: the limit is valid for the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &none) }, 0);
}

/// Replaces a descriptor by a pipe whose reader is gone.
pub fn close_the_reader_of(fd: RawFd) {
    let pipe = broken_pipe();
    // SAFETY: both are descriptors. dup2 closes the old one.
    assert_eq!(unsafe { libc::dup2(pipe.as_raw_fd(), fd) }, fd);
}

/// How many descriptors are open.
pub fn descriptors() -> usize {
    // SAFETY: F_GETFD changes nothing.
    (0..64).filter(|&fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } != -1).count()
}

/// Runs `f` while no descriptor can be opened.
pub fn without_descriptors<T>(f: impl FnOnce() -> T) -> T {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is valid for both calls.
    unsafe { assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0) };
    let none = libc::rlimit { rlim_cur: 0, ..limit };
    // SAFETY: as above.
    unsafe { assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &none), 0) };
    let answer = f();
    // SAFETY: as above.
    unsafe { assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0) };
    answer
}

/// A broken TCP connection, whose first write reports EPIPE.
pub fn broken_stream() -> OwnedFd {
    let (ours, theirs) = tcp_pair("127.0.0.1:0").unwrap();
    Break::RstRead.apply(ours.as_fd(), theirs).unwrap();
    ours
}

/// A descriptor that takes writes and is not a pipe.
#[cfg(any(target_os = "android", target_os = "linux"))]
pub fn eventfd() -> OwnedFd {
    use std::os::fd::FromRawFd;

    // SAFETY: eventfd makes a new descriptor, which nothing else owns.
    unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC)) }
}

/// The slices of a vectored write.
pub fn slices() -> [IoSlice<'static>; 2] {
    [IoSlice::new(b"header"), IoSlice::new(b"body")]
}

/// A file of `len` zeros, which is no longer in its directory.
pub fn file(len: u64) -> File {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("epipe-{}-{number}", std::process::id()));
    let file = match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
        // A killed process that had the same number left the file, or the testing kit a directory.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return self::file(len),
        made => made.unwrap(),
    };
    std::fs::remove_file(&path).unwrap();
    file.set_len(len).unwrap();
    file
}

/// One answer, as the tables write it.
pub fn spell<T>(answer: &io::Result<T>) -> String {
    match answer {
        Ok(_) => "ok".into(),
        Err(error) => match error.raw_os_error() {
            Some(libc::EPIPE) => "EPIPE".into(),
            Some(libc::ECONNRESET) => "ECONNRESET".into(),
            _ => format!("{error:?}"),
        },
    }
}

/// The answer is EPIPE, and no SIGPIPE is blocked or pending on this thread.
#[track_caller]
pub fn assert_epipe<T>(answer: io::Result<T>) {
    assert_eq!(spell(&answer), "EPIPE");
    assert!(!is_blocked() && !is_pending());
}
