//! Unix socket files that only permitted users can connect to.
//!
//! [`bind`] makes the socket file with exactly the requested mode. It returns a [`SocketFile`],
//! which removes the file. [`PrivateAddress`] has more options: the group, datagrams, directories
//! that other users may write to. `accept_from` accepts connections of one user only.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
#[cfg(has_peer_cred)]
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

#[cfg(has_peer_cred)]
use epipe::os::unix::net::UnixStream;
use epipe::os::unix::net::{UnixDatagram, UnixListener};

use crate::sys::{self, error_at};

/// Linux's usual limit for `listen` (listen(2)). A system that allows less reduces it.
const BACKLOG: i32 = 4096;

/// How long [`PrivateAddress::bind`] waits for the directory's lock. This crate holds the lock for
/// a few system calls, but any process that may read the directory may hold it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a drop waits for it.
const PATIENCE_OF_DROP: Duration = Duration::from_millis(500);

/// The socket file of a listener, from [`bind`]. A drop removes the file.
///
/// **`let (listener, _) = …` removes the file at once**: give it a name, or
/// [`keep`](SocketFile::keep) it.
///
/// A drop removes the file only if it is still the one that was bound, by device and inode. Only
/// the process that has bound it removes it; its children do not. (This compares process numbers,
/// and a child in a new PID namespace may have the same.)
///
/// An error of the removal is ignored. If another process holds the directory's lock for half a
/// second, the file stays. The next [`bind`] replaces a file that was left behind.
///
/// A daemon binds after its last fork, or [`keep`](SocketFile::keep)s the file. Otherwise its
/// parent would remove the file.
///
/// On systems other than Linux and Android, drop this before the listener. There the inode's number
/// may be used again as soon as the listener is closed and the file is removed. The order is right
/// after `let (listener, file) = …`, and in a struct where this is the first field.
#[derive(Debug)]
#[must_use = "a drop removes the file, and then no client finds the listener"]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
    process: u32,
    // While it is open, the inode's number is not used again.
    pin: Option<File>,
}

impl SocketFile {
    /// Returns the absolute path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the file in place: it is no longer removed on drop.
    pub fn keep(mut self) {
        self.process = 0; // the number of no process
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return;
        }
        let directory = open_directory(&self.path);
        let lock = directory.and_then(|directory| Locked::new(directory, PATIENCE_OF_DROP));
        let Ok(_lock) = lock else {
            return;
        };
        if fs::symlink_metadata(&self.path).is_ok_and(|now| identity(&now) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(of: &Metadata) -> (u64, u64) {
    (of.dev(), of.ino())
}

/// Listens on a Unix socket file with exactly this mode, for any umask.
///
/// A user needs the right to write to the file to connect. The file never has more rights than
/// `mode`. With `bind(2)` and a later `chmod` other users could connect for a moment.
///
/// The process's umask is not changed, because all threads share it. The file is not renamed:
/// `local_addr` reports `path`.
///
/// The file of a listener that is gone is replaced. To find out, it tries to connect: a stale file
/// refuses the connection. (A live listener sees that connection and its end.) All of this happens
/// under a lock (`flock(2)`) on the directory. Of two processes that start at the same time, one
/// gets the address and the other gets the error.
///
/// ```
/// use epipe_util::private::{self, SocketFile};
/// # use epipe::os::unix::net::UnixStream;
/// # let directory = std::env::temp_dir().join(format!("epipe-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # use std::os::unix::fs::PermissionsExt;
/// # std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700))?;
/// let path = directory.join("control");
/// let (listener, file) = private::bind(&path, 0o600)?; // for this user and root
/// let file: SocketFile = file;
/// assert_eq!(file.path(), path);
/// let _client = UnixStream::connect(&path)?;
/// drop(file); // happens at the end of the scope too
/// assert!(!path.exists());
///
/// let (listener, file) = private::bind(&path, 0o600)?;
/// file.keep();
/// drop(listener);
/// assert!(path.exists()); // the next `bind` replaces it
/// # std::fs::remove_dir_all(directory)?;
/// # std::io::Result::Ok(())
/// ```
///
/// It is short for `PrivateAddress::new(path).mode(mode).bind()`. See [`PrivateAddress`] for the
/// accepted directories, the limits and the platforms.
///
/// # Errors
///
/// Those of [`PrivateAddress::bind`].
#[doc(alias("umask", "chmod", "fchmod", "flock", "sockaddr_un"))]
pub fn bind<P: AsRef<Path>>(path: P, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    PrivateAddress::new(path).mode(mode).bind()
}

/// A Unix socket file that only permitted users can connect to, before it is bound.
///
/// By default the file has the mode `0o600`: this user and root can connect.
///
/// ```
/// use epipe_util::private::PrivateAddress;
/// # let directory = std::env::temp_dir().join(format!("epipe-doc-a-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # use std::os::unix::fs::{MetadataExt, PermissionsExt};
/// # std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700))?;
/// # let (control, log) = (directory.join("control"), directory.join("log"));
/// # let app = std::fs::metadata(&directory)?.gid();
///
/// // The members of a group may connect. For a runtime, the listener is non-blocking.
/// let address = PrivateAddress::new(control).mode(0o660).group(app).nonblocking(true);
/// let (listener, file) = address.bind()?;
///
/// // Datagrams, in a directory that other trusted users may write to.
/// let address = PrivateAddress::new(log).shared_directory(true);
/// # #[cfg(any(target_os = "linux", target_os = "android"))] // elsewhere the umask matters
/// let (socket, log_file) = address.bind_datagram()?;
/// # #[cfg(any(target_os = "linux", target_os = "android"))]
/// # drop((socket, log_file));
/// # drop((listener, file));
/// # std::fs::remove_dir(directory)?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Directories
///
/// A user who may write to a directory without the sticky bit can replace this socket by another
/// one. Clients then talk to that socket, and this process does not notice. So the directory
/// matters.
///
/// Accepted, if it belongs to this user or root:
/// * Only its owner may write to it, or it has the sticky bit (`/tmp`).
/// * A group may write to it (`2770 root:app`, `0775`), and the socket is for that group too. That
///   is: it is the socket's group, and `mode` lets it connect (`0o660`). **The members of the group
///   are then trusted to answer in place of this process.**
///
/// Refused without [`shared_directory`](PrivateAddress::shared_directory):
/// * Any user may write to it (`0777`, `2777`), and it has no sticky bit.
/// * A group may write to it, and the socket is not for that group.
/// * It belongs to another user. (This process is root or a third user.)
///
/// The socket's group is the first of these: the one from [`group`](PrivateAddress::group), that of
/// a directory with the setgid bit, that of the process. (BSD and Apple give every file the
/// directory's group. The check is the same there: pass `group`.)
///
/// # Limits
///
/// * **Other programs do not know the lock.** A server that binds the same path with another
///   function looks stale until it has called `listen`. A stream socket that is bound there and
///   never listens looks stale too, and so does a listener of another host on a shared file system.
///   On systems other than Linux and Android, a listener whose queue of connections is full looks
///   stale too.
/// * Any process that may read the directory may hold its lock. In `/tmp` any user can make `bind`
///   fail. A program that has locked the directory itself makes it fail too. Use a directory of
///   your own, for example below `/run`.
/// * Only the directory that holds the file is checked. A user who may write to a directory above
///   it can replace it.
/// * A relative path is right only while no other thread changes the current directory.
/// * A file that its owner may not write to is never replaced: only root may ask whether a listener
///   is alive.
/// * A default ACL of the directory adds to the rights of the group (acl(5)).
///
/// # Platforms
///
/// On Linux and Android the socket gets its mode before it is bound (`fchmod`). The bits that the
/// umask has removed are added before `listen`.
///
/// On other systems the mode is set between `bind` and `listen`, when no client can connect yet.
/// One race remains: the umask has let a client through, and this client is delayed inside one
/// `connect` until after `listen`. That client gets in. (On Linux without the `fchmod`, a client
/// that tried in a loop got in within seconds.)
///
/// In a directory that others may write to, another file may replace the socket file at any time.
/// There the mode and the group are changed through a descriptor of the file. On Linux this needs
/// `/proc/self/fd`, and fails where that is not mounted. Other systems have no descriptor of a
/// socket file. There the umask must leave exactly `mode`, and the group must be right already.
#[derive(Clone, Debug)]
#[must_use = "call `bind` or `bind_datagram`"]
pub struct PrivateAddress {
    path: PathBuf,
    mode: u32,
    group: Option<u32>,
    is_shared: bool,
    nonblocking: bool,
}

impl PrivateAddress {
    /// Starts with an address at this path, with the mode `0o600`.
    pub fn new<P: AsRef<Path>>(path: P) -> PrivateAddress {
        let path = path.as_ref().to_path_buf();
        PrivateAddress { path, mode: 0o600, group: None, is_shared: false, nonblocking: false }
    }

    /// Sets the mode of the file, for any umask. The right to write is the right to connect.
    #[doc(alias("chmod", "umask"))]
    pub fn mode(mut self, mode: u32) -> PrivateAddress {
        self.mode = mode;
        self
    }

    /// Sets the group of the file. A process that is not root must be a member of it.
    #[doc(alias = "chown")]
    pub fn group(mut self, gid: u32) -> PrivateAddress {
        self.group = Some(gid);
        self
    }

    /// Accepts any directory, also one that other users may write to or own.
    ///
    /// **The risk**: those users can replace the socket by their own. They then receive what
    /// clients send, and answer in place of this process. They cannot read the connections that
    /// this listener accepts, and `mode` still holds for this socket. Use it where all such users
    /// are trusted that far, or where the clients check who answers (`peer_cred`).
    pub fn shared_directory(mut self, is_shared: bool) -> PrivateAddress {
        self.is_shared = is_shared;
        self
    }

    /// Makes the socket non-blocking, as runtimes expect it (`from_std`).
    #[doc(alias = "O_NONBLOCK")]
    pub fn nonblocking(mut self, nonblocking: bool) -> PrivateAddress {
        self.nonblocking = nonblocking;
        self
    }

    /// Binds the address and listens. A stale file is replaced, as by [`bind()`].
    ///
    /// # Errors
    ///
    /// * `AddrInUse`: a listener is alive there, or this cannot be found out.
    /// * `AlreadyExists`: the path has a file that is not a socket, for example a symbolic link. It
    ///   is left alone.
    /// * `PermissionDenied`: others could replace the socket (see Directories, above), or this user
    ///   may not give the file that group.
    /// * `TimedOut`: the directory's lock is held elsewhere for five seconds.
    /// * `InvalidInput`: the mode has more than the bits of `0o777`, the path has no file name, or
    ///   the address is abstract (which has no rights).
    /// * Those of `open`, `socket`, `bind`, `chmod`, `chown` and `listen`. No file is left behind.
    pub fn bind(&self) -> io::Result<(UnixListener, SocketFile)> {
        let (socket, file) = self.make(Type::STREAM)?;
        Ok((UnixListener::from(socket), file))
    }

    /// Like [`bind`](Self::bind), for datagrams, which can arrive at once.
    ///
    /// A user needs the right to write to the file to send.
    ///
    /// # Errors
    ///
    /// Those of [`bind`](PrivateAddress::bind).
    ///
    /// On systems other than Linux and Android also `PermissionDenied`. It means that the umask
    /// leaves more rights than `mode`, or leaves rights to a group that is not yet the right one.
    /// Other users could have sent datagrams before these rights were removed.
    pub fn bind_datagram(&self) -> io::Result<(UnixDatagram, SocketFile)> {
        let (socket, file) = self.make(Type::DGRAM)?;
        Ok((UnixDatagram::from(OwnedFd::from(socket)), file))
    }

    fn make(&self, kind: Type) -> io::Result<(Socket, SocketFile)> {
        let path = &*self.path;
        sys::check_mode(path, self.mode)?;
        let bytes = path.as_os_str().as_bytes();
        // A NUL at the start makes an abstract address. At another place it cuts off the path.
        if path.file_name().is_none() || bytes.ends_with(b"/") || bytes.contains(&0) {
            let reason = "is not the name of a file";
            return Err(error_at(ErrorKind::InvalidInput, path, reason));
        }
        let address = SockAddr::unix(path)?;
        let path = std::path::absolute(path)?; // the current directory may change before the drop
        let directory = open_directory(&path)?;
        let is_replaceable = self.check_directory(&directory, &path)?;
        let _lock = Locked::new(directory, PATIENCE)?;
        remove_stale(&path, &address, kind)?;

        let socket = Socket::new(Domain::UNIX, kind, None)?;
        // The rights of the group are added later. Until `chown`, another group would have them.
        let first = self.group.map_or(self.mode, |_| self.mode & !0o070);
        let socket = sys::set_mode_before_bind(socket, first)?;
        socket.set_nonblocking(self.nonblocking)?;
        socket.bind(&address)?;
        let (bound, pin) = sys::pin(&path).inspect_err(|_| drop(fs::remove_file(&path)))?;
        let process = std::process::id();
        let file = SocketFile { identity: identity(&bound), process, pin, path };
        let ready = self.set_rights(&file, &bound, is_replaceable, kind);
        let ready = ready.and_then(|()| match kind {
            Type::STREAM => socket.listen(BACKLOG),
            _ => Ok(()),
        });
        if let Err(error) = ready {
            let _ = fs::remove_file(&file.path); // `_lock` is still held
            file.keep();
            return Err(error);
        }
        Ok((socket, file))
    }

    /// Gives the bound file its group and its mode.
    fn set_rights(
        &self,
        file: &SocketFile,
        bound: &Metadata,
        is_replaceable: bool,
        kind: Type,
    ) -> io::Result<()> {
        let refused = |reason| Err(error_at(ErrorKind::PermissionDenied, &file.path, reason));
        let mode = bound.mode() & 0o7777;
        let group = self.group.filter(|&group| group != bound.gid());
        let allowed = group.map_or(self.mode, |_| self.mode & !0o070);
        if kind == Type::DGRAM && mode & !allowed != 0 {
            return refused("the umask lets others send before the rights are removed");
        }
        if mode == self.mode && group.is_none() {
            return Ok(());
        }
        let path = match is_replaceable {
            true if !bound.file_type().is_socket() || bound.uid() != sys::effective_user() => {
                return refused("was replaced while it was bound");
            }
            true => match file.pin.as_ref().map(sys::path_of_pin) {
                Some(path) => path,
                None => return refused("others may replace it: the umask must leave its mode"),
            },
            false => file.path.clone(),
        };
        // Neither call follows a file that has replaced the socket file.
        if group.is_some() {
            std::os::unix::fs::chown(&path, None, group)?;
        }
        match mode == self.mode {
            true => Ok(()),
            false => fs::set_permissions(&path, Permissions::from_mode(self.mode)),
        }
    }

    /// Returns whether others can replace files of the directory, or an error if that is refused.
    fn check_directory(&self, directory: &File, path: &Path) -> io::Result<bool> {
        const SETGID: u32 = 0o2000;
        const STICKY: u32 = 0o1000;
        let about = directory.metadata()?;
        let mode = about.mode();
        let reason = if ![0, sys::effective_user()].contains(&about.uid()) {
            "the directory belongs to another user, who could replace the socket"
        } else if mode & STICKY != 0 || mode & 0o022 == 0 {
            return Ok(false);
        } else if mode & 0o002 != 0 {
            "others may write to the directory and it has no sticky bit: \
             they could replace the socket"
        } else {
            let group = self.group.unwrap_or_else(|| match mode & SETGID != 0 {
                true => about.gid(),
                false => sys::effective_group(),
            });
            if group == about.gid() && self.mode & 0o020 != 0 {
                return Ok(true);
            }
            "the directory's group may write to it and it has no sticky bit: \
             it could replace the socket, which is not for that group"
        };
        if !self.is_shared {
            let reason = format!("{reason} (see PrivateAddress::shared_directory)");
            return Err(error_at(ErrorKind::PermissionDenied, path, &reason));
        }
        Ok(true)
    }
}

/// Accepts the next connection of one user, and closes those of others unread.
///
/// It compares the user that [`UnixStream::peer_cred`] reports: the one at the time of
/// the `connect`. Root counts as another user. (In a user namespace all users without a number
/// there look the same.)
///
/// ```
/// use epipe_util::private::{accept_from, bind};
/// # use epipe::os::unix::net::UnixStream;
/// # let directory = std::env::temp_dir().join(format!("epipe-doc-f-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # use std::os::unix::fs::{MetadataExt, PermissionsExt};
/// # std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700))?;
/// # let path = directory.join("control");
/// # let uid = std::fs::metadata(&directory)?.uid();
///
/// let (listener, file) = bind(&path, 0o666)?;
/// let _client = UnixStream::connect(&path)?;
/// let (stream, _address) = accept_from(&listener, uid)?;
/// # drop((stream, file));
/// # std::fs::remove_dir(directory)?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
///
/// Those of `accept` and `peer_cred`.
///
/// # Platforms
///
/// Where [`UnixStream::peer_cred`] exists.
#[cfg(has_peer_cred)]
#[doc(alias("SO_PEERCRED", "LOCAL_PEERCRED", "getpeereid", "ucred"))]
pub fn accept_from(listener: &UnixListener, uid: u32) -> io::Result<(UnixStream, SocketAddr)> {
    loop {
        let (stream, addr) = listener.accept()?;
        if stream.peer_cred()?.uid == uid {
            return Ok((stream, addr));
        }
    }
}

/// Removes the file of a listener that is gone. An error if a listener is alive, or if the file is
/// not a socket.
///
/// This comes before the first `bind`, because XNU's `bind` follows a symbolic link.
fn remove_stale(path: &Path, address: &SockAddr, kind: Type) -> io::Result<()> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there.file_type(),
        Err(gone) if gone.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !there.is_socket() {
        let reason = match there.is_symlink() {
            true => "is a symbolic link, which is not followed",
            false => "exists and is not a socket",
        };
        return Err(error_at(ErrorKind::AlreadyExists, path, reason));
    }
    let client = Socket::new(Domain::UNIX, kind, None)?;
    client.set_nonblocking(true)?; // its queue may be full
    match client.connect(address) {
        Err(refused) if refused.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(gone) if gone.kind() == ErrorKind::NotFound => Ok(()),
        Err(unknown) if unknown.kind() == ErrorKind::PermissionDenied => {
            let reason = "this user may not ask whether a process listens there";
            Err(error_at(ErrorKind::AddrInUse, path, reason))
        }
        Err(unknown) if !sys::is_alive(&unknown) => Err(unknown),
        _ => Err(error_at(ErrorKind::AddrInUse, path, "a process listens there")),
    }
}

/// Opens the directory of a file.
///
/// The final `.` makes the call fail on a FIFO, where a plain `open` would wait.
fn open_directory(path: &Path) -> io::Result<File> {
    File::open(path.parent().unwrap_or(path).join("."))
}

/// A directory under its lock.
///
/// A drop unlocks it, since a close is not enough: a child may have inherited the descriptor.
struct Locked(File);

impl Locked {
    fn new(directory: File, patience: Duration) -> io::Result<Locked> {
        let deadline = Instant::now() + patience;
        while !sys::try_lock(&directory)? {
            if Instant::now() >= deadline {
                let reason = "the lock of the socket's directory is held for too long";
                return Err(io::Error::new(ErrorKind::TimedOut, reason));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Locked(directory))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        sys::unlock(&self.0);
    }
}
