//! THE table: what each kernel has against SIGPIPE, and where it directs the signal.
//!
//! Plain data. The order of the techniques is the same everywhere: the send or write flag, then the
//! socket option or descriptor flag, then the guard. `socket.rs` and `pipe.rs` implement this
//! order, and `verify.rs` reports it. A send flag that does not protect alone is used together with
//! the others.
//!
//! `build.rs` reads this file too. It finds the target's row and passes it to the library as `cfg`s
//! (see [`Target::cfgs`]). The sources of a row are at the top of each technique's file.
//! `docs/platforms.md` says how each row was verified.

/// Where the kernel directs the SIGPIPE of a failed write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaisedAt {
    /// There is no SIGPIPE, and nothing to do.
    Nowhere,
    /// At the thread that wrote, which can block the signal for itself.
    Thread,
    /// At the process: a thread's mask protects no other thread.
    Process,
}

/// Whether `MSG_NOSIGNAL` protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendFlag {
    /// The kernel has no such flag, or rejects it.
    Absent,
    /// Some releases silently ignore it. It is passed, but another technique must protect.
    Additional,
    /// It protects a send alone.
    Alone,
}

/// One row. A row with a descriptor flag also has a socket option, and one with a write flag also
/// has a send flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The kernels of this row.
    pub kernels: &'static [&'static str],
    pub raised_at: RaisedAt,
    pub send_flag: SendFlag,
    /// `SO_NOSIGPIPE`.
    pub socket_option: bool,
    /// `F_SETNOSIGPIPE`.
    pub fd_flag: bool,
    /// Option and descriptor flag stay set until a call clears exactly these.
    pub stays_set: bool,
    /// `RWF_NOSIGNAL`.
    pub write_flag: bool,
}

/// Any Unix that the table does not name: the guard is its only technique. Redox is one of them:
/// its libc rejected the flag in mid-2026.
const ANY_OTHER_UNIX: Row = Row {
    kernels: &[],
    raised_at: RaisedAt::Thread,
    send_flag: SendFlag::Absent,
    socket_option: false,
    fd_flag: false,
    stays_set: true,
    write_flag: false,
};

const NO_SIGPIPE: Row = Row { raised_at: RaisedAt::Nowhere, ..ANY_OTHER_UNIX };

pub const TABLE: [Row; 8] = [
    Row { kernels: &["linux"], send_flag: SendFlag::Alone, write_flag: true, ..ANY_OTHER_UNIX },
    Row {
        // No write flag: Android's app filter kills a process that calls pwritev2. On x32 the call
        // passes its offset in one word, not two.
        kernels: &["android", "cygwin", "haiku", "hurd", "illumos", "openbsd", "solaris", "x32"],
        send_flag: SendFlag::Alone,
        ..ANY_OTHER_UNIX
    },
    Row {
        // The send flag is silently ignored before macOS 11, iOS and tvOS 14, and watchOS 7. The
        // signal goes to the process: XNU uipc_syscalls.c `psignal`.
        kernels: &["apple"],
        raised_at: RaisedAt::Process,
        send_flag: SendFlag::Additional,
        socket_option: true,
        fd_flag: true,
        ..ANY_OTHER_UNIX
    },
    Row {
        // The signal goes to the process: uipc_syscalls.c `psignal`. Option and flag protect by a
        // flag of the file, on sockets too. Any `F_SETFL` clears it (sys/fcntl.h: FNOSIGPIPE is one
        // of FCNTLFLAGS).
        kernels: &["netbsd"],
        raised_at: RaisedAt::Process,
        send_flag: SendFlag::Alone,
        socket_option: true,
        fd_flag: true,
        stays_set: false,
        ..ANY_OTHER_UNIX
    },
    Row {
        kernels: &["dragonfly", "freebsd"],
        send_flag: SendFlag::Alone,
        socket_option: true,
        ..ANY_OTHER_UNIX
    },
    Row {
        // AIX documents no send flag. On QNX its value depends on the network stack.
        kernels: &["aix", "nto"],
        send_flag: SendFlag::Additional,
        ..ANY_OTHER_UNIX
    },
    Row {
        // Only pipes raise, at the process: fifo.c `kill`.
        kernels: &["rtems"],
        raised_at: RaisedAt::Process,
        ..ANY_OTHER_UNIX
    },
    Row {
        // rustc counts these as Unix. The sources of ESP-IDF, Horizon, NuttX and Vita were read. On
        // the others std's start-up code does not change SIGPIPE.
        kernels: &["emscripten", "espidf", "horizon", "nuttx", "vita", "fuchsia", "vxworks"],
        ..NO_SIGPIPE
    },
];

/// A target, in rustc's words.
#[derive(Clone, Debug)]
pub struct Target {
    pub os: String,
    pub vendor: String,
    pub env: String,
    pub arch: String,
    pub pointer_width: String,
    pub is_unix: bool,
    /// Another kernel, whose row the target gets: for tests under a model of that kernel.
    pub forced: Option<String>,
}

impl Target {
    /// The table's name for its kernel.
    pub fn kernel(&self) -> &str {
        if let Some(forced) = &self.forced {
            return forced;
        }
        match self.os.as_str() {
            _ if self.vendor == "apple" => "apple",
            "linux" if self.arch == "x86_64" && self.pointer_width == "32" => "x32",
            os => os,
        }
    }

    /// The row of its kernel.
    pub fn row(&self) -> Row {
        let named = TABLE.into_iter().find(|row| row.kernels.contains(&self.kernel()));
        match (named, self.is_unix) {
            (Some(row), _) => row,
            (None, true) => ANY_OTHER_UNIX,
            (None, false) => NO_SIGPIPE,
        }
    }

    /// The names that the library's code may use in `cfg`, and whether each is set: the row, and
    /// what std, libc, socket2 and the optional crates have on this target.
    pub fn cfgs(&self) -> [(&'static str, bool); 31] {
        let row = self.row();
        // Whether the target is one of these systems.
        let os = |names: &str| names.split(' ').any(|name| name == self.os);
        let kernel = |names: &str| names.split(' ').any(|name| name == self.kernel());
        let (is_unix, is_windows) = (self.is_unix, self.os == "windows");
        let is_wasi = self.os == "wasi";
        let is_wasi_with_sockets = is_wasi && self.env != "p1";
        let is_apple = self.vendor == "apple";
        let has_reactor = (is_unix || is_windows) && !os("emscripten");
        [
            // The row.
            ("sigpipe", row.raised_at != RaisedAt::Nowhere),
            ("raised_at_process", row.raised_at == RaisedAt::Process),
            ("send_flag", row.send_flag != SendFlag::Absent),
            ("send_flag_alone", row.send_flag == SendFlag::Alone),
            ("socket_option", row.socket_option),
            ("fd_flag", row.fd_flag),
            ("stays_set", row.stays_set),
            ("write_flag", row.write_flag),
            // Handles: descriptors, or anything that can be borrowed.
            ("has_fd", is_unix || is_wasi),
            ("has_handles", is_unix || is_wasi || is_windows),
            // Where socket2 compiles, and what it has there. `Cargo.toml` repeats the first.
            ("has_socket2", is_unix || is_windows || is_wasi_with_sockets),
            ("has_try_clone", !is_wasi),
            ("has_nonblocking", is_unix && !os("vita") || is_wasi_with_sockets),
            ("has_out_of_band", !is_wasi),
            ("has_sendmsg", !is_wasi && !os("redox horizon")),
            ("has_recvmsg", is_unix && !os("redox horizon")),
            (
                "has_accept4",
                os("android cygwin dragonfly freebsd fuchsia illumos linux netbsd openbsd"),
            ),
            ("has_interface_address", !is_wasi && !os("haiku illumos netbsd redox solaris")),
            ("has_sock_filter", os("android linux")),
            ("has_ccid", os("linux")),
            ("has_sendfile", kernel("android apple freebsd linux x32")),
            // Whether limits.h limits the slices of one call to 1024.
            (
                "iov_max_1024",
                is_apple || os("android cygwin dragonfly freebsd linux netbsd nto openbsd"),
            ),
            // libc's function is called directly. For Linux and Android see `signal.rs`.
            (
                "has_sigtimedwait",
                kernel("aix cygwin dragonfly freebsd haiku hurd illumos netbsd nto redox solaris"),
            ),
            // Where the optional crates compile. `Cargo.toml` repeats this.
            ("has_reactor", has_reactor),
            ("has_tokio", has_reactor && !os("espidf")),
            // What tokio's `pipe::OpenOptions` can do there.
            ("has_read_write_fifo", os("android linux")),
            // What std has as unstable, or this crate adds.
            (
                "has_peer_cred",
                is_apple || os("android cygwin dragonfly freebsd linux netbsd nto openbsd"),
            ),
            ("has_mark", os("freebsd linux openbsd")),
            ("has_udp_connreset", is_windows),
            // Where std also copies inside the kernel.
            ("has_splice", kernel("android linux x32")),
            ("forced", self.forced.is_some()),
        ]
    }
}
