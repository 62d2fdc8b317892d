//! Unix addresses that only permitted users can connect to.
//!
//! [`bind`] makes the file of the address with exactly the rights that are asked for, and gives a
//! [`SocketFile`] that removes it. [`PrivateAddress`] has more to choose: the group, datagrams,
//! directories that others may write to. `accept_from` takes one user's connections alone.

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

/// What `listen` may queue: Linux's usual limit (listen(2)); a system that allows less cuts it.
const BACKLOG: i32 = 4096;

/// How long the folder's lock is waited for: it is held for a few system calls, but whoever may
/// read the folder may hold it. A drop waits less.
const PATIENCE: Duration = Duration::from_secs(5);
const PATIENCE_OF_DROP: Duration = Duration::from_millis(500);

/// The file of a listener's address, from [`bind`]: it is removed on drop.
///
/// It is removed if it is still the one that was bound, by device and inode, and only by the
/// process that has bound it: not by its children. (By the process's number: a child in a new PID
/// namespace may have the same.) An error there is passed over, and so is a folder whose lock
/// somebody holds for half a second; what is left is replaced by the next [`bind`].
///
/// A daemon binds after its last fork, or keeps the file: its parent would remove it.
///
/// **`let (listener, _) = …` removes the file at once**: give it a name, or
/// [`keep`](SocketFile::keep) it. Elsewhere than on Linux and Android an inode's number may be used
/// again as soon as the listener is closed and the file is gone: drop this before the listener, as
/// `let (listener, file) = …` does by itself, and a struct in which it is the first field.
#[derive(Debug)]
#[must_use = "dropped, it removes the file: nobody finds the listener any more"]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
    process: u32,
    // While it is open the inode's number is not used again.
    pin: Option<File>,
}

impl SocketFile {
    /// Where the file is, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the file where it is.
    pub fn keep(mut self) {
        self.process = 0; // nobody's
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return;
        }
        let folder = open_folder(&self.path);
        let Ok(_lock) = folder.and_then(|folder| Locked::new(folder, PATIENCE_OF_DROP)) else {
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

/// Listens on a path whose file has exactly these rights, whatever the umask, and never wider ones:
/// `bind` and a `chmod` afterwards would let others in for an instant. (To connect takes the right
/// to write.)
///
/// The process's umask is not touched: it is every thread's. The file is not renamed: `local_addr`
/// reports `path`.
///
/// A file of a listener that is gone is replaced: one that refuses a connection. (A listener that
/// lives sees that connection, and its end.) All of that happens under a lock, `flock(2)`, on the
/// folder, so that of two that start at once one gets the address, and the other the error.
///
/// ```
/// use epipe_util::private;
/// # use epipe::os::unix::net::UnixStream;
/// # let folder = std::env::temp_dir().join(format!("epipe-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # use std::os::unix::fs::PermissionsExt;
/// # std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
/// let path = folder.join("control");
/// let (listener, file) = private::bind(&path, 0o600)?; // this user, and root
/// let _client = UnixStream::connect(&path)?;
/// drop(file); // as it would at the end of the scope
/// assert!(!path.exists());
/// # std::fs::remove_dir(folder)?;
/// # std::io::Result::Ok(())
/// ```
///
/// It is short for `PrivateAddress::new(path).mode(mode).bind()`. See [`PrivateAddress`] for the
/// directories that it takes, the limits and the platforms.
///
/// # Errors
///
/// Those of [`PrivateAddress::bind`].
pub fn bind<P: AsRef<Path>>(path: P, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    PrivateAddress::new(path).mode(mode).bind()
}

/// A Unix address that only permitted users can connect to, before it is bound.
///
/// Without a choice its file has the mode `0o600`: this user and root.
///
/// ```
/// use epipe_util::private::PrivateAddress;
/// # let folder = std::env::temp_dir().join(format!("epipe-doc-a-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # use std::os::unix::fs::{MetadataExt, PermissionsExt};
/// # std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
/// # let path = folder.join("control");
/// # let app = std::fs::metadata(&folder)?.gid();
///
/// // The members of a group may connect. For a runtime, the listener is non-blocking.
/// let address = PrivateAddress::new(path).mode(0o660).group(app).nonblocking(true);
/// let (listener, file) = address.bind()?;
/// # drop((listener, file));
/// # std::fs::remove_dir(folder)?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Directories
///
/// Anyone who may write to a directory without the sticky bit can put another socket in the place
/// of this one. Clients then talk to that one, and this process does not notice. So it matters who
/// that is:
///
/// | directory | |
/// |---|---|
/// | of this user or root, and no one else may write to it; or with the sticky bit (`/tmp`) | taken |
/// | of this user or root, and a group may write to it (`2770 root:app`, `0775`) | taken if the socket is for that group too: it is the socket's group, and `mode` lets it connect (`0o660`). **Its members are then trusted to answer in this process's place** |
/// | others may write to it (`0777`, `2777`), or a group that the socket is not for | refused without [`shared_directory`](PrivateAddress::shared_directory) |
/// | of another user, and this process is root or a third user | the same |
///
/// The socket's group is the one of [`group`](PrivateAddress::group), else that of a directory with
/// the setgid bit, else the process's. (BSD and Apple give every file the directory's group. The
/// check is the same there: pass `group`.)
///
/// # Limits
///
/// * **Users of other functions do not know the lock**: a server that binds the same path by itself
///   looks as if it were gone until it has called `listen`; so does a stream socket that is bound
///   there and never listens, a listener of another host on a shared file system, and, elsewhere
///   than on Linux and Android, one whose queue of connections is full.
/// * Anyone who may read the directory may hold its lock: in `/tmp` any user can make this fail,
///   and so does a program that has locked the directory itself. Use a directory of your own, as
///   below `/run`.
/// * Only the directory that holds the file is looked at. Anyone who may write to one above can put
///   another in its place.
/// * A relative path is for as long as no other thread changes the current directory.
/// * A file without the right to write for its owner is never replaced: only root may ask whether a
///   listener lives.
/// * A default ACL of the directory is added to the rights of the group (acl(5)).
///
/// # Platforms
///
/// On Linux and Android the socket has its rights before it is bound (`fchmod`), and what the umask
/// has cut is added before `listen`. Elsewhere they are set between the two, where no one can
/// connect yet. But a client that the umask has let through, and that is held up between two steps
/// of one `connect` until after `listen`, gets in. (Without the `fchmod` Linux showed that within
/// seconds, to a stranger who tries in a loop.)
///
/// In a directory that others may write to, a file's path may soon lead to another file. So its
/// mode and group are changed through a descriptor of it. On Linux that is by `/proc/self/fd`:
/// where this is not mounted, it is an error. Other systems have no descriptor of a socket's file.
/// There the umask must leave exactly `mode`, and the group must be right already.
#[derive(Clone, Debug)]
#[must_use = "it is bound by `bind` or `bind_datagram`"]
pub struct PrivateAddress {
    path: PathBuf,
    mode: u32,
    group: Option<u32>,
    is_shared: bool,
    nonblocking: bool,
}

impl PrivateAddress {
    /// An address at that path, for this user and root.
    pub fn new<P: AsRef<Path>>(path: P) -> PrivateAddress {
        let path = path.as_ref().to_path_buf();
        PrivateAddress { path, mode: 0o600, group: None, is_shared: false, nonblocking: false }
    }

    /// The rights of the file, whatever the umask. The right to write is the right to connect.
    pub fn mode(mut self, mode: u32) -> PrivateAddress {
        self.mode = mode;
        self
    }

    /// The group of the file. A process that is not root must be a member of it.
    pub fn group(mut self, gid: u32) -> PrivateAddress {
        self.group = Some(gid);
        self
    }

    /// Takes any directory, also one in which other users may write, or that belongs to one.
    ///
    /// **The risk**: those users can replace the socket by their own. They receive what clients
    /// send from then on, and answer in this process's place. They cannot read the connections that
    /// this listener accepts, and `mode` holds for this socket. Use it where every such user is
    /// trusted that far, or where the clients check who answers (`peer_cred`).
    pub fn shared_directory(mut self, is_shared: bool) -> PrivateAddress {
        self.is_shared = is_shared;
        self
    }

    /// Whether the socket is non-blocking, as runtimes expect it (`from_std`).
    pub fn nonblocking(mut self, nonblocking: bool) -> PrivateAddress {
        self.nonblocking = nonblocking;
        self
    }

    /// Binds the address and listens: see [`bind()`] for what happens to a file that is there.
    ///
    /// # Errors
    ///
    /// * `AddrInUse`: somebody listens there, or it cannot be found out.
    /// * `AlreadyExists`: there is something that is no socket, a symbolic link for example. It is
    ///   left alone.
    /// * `PermissionDenied`: others could replace the socket (see Directories, above), or this user
    ///   may not give the file that group.
    /// * `TimedOut`: somebody holds the directory's lock for five seconds.
    /// * `InvalidInput`: a mode beyond `0o777`, a path without a file name, an abstract address (it
    ///   has no rights).
    /// * Those of `open`, `socket`, `bind`, `chmod`, `chown` and `listen`. No file is left behind.
    pub fn bind(&self) -> io::Result<(UnixListener, SocketFile)> {
        let (socket, file) = self.make(Type::STREAM)?;
        Ok((UnixListener::from(socket), file))
    }

    /// Binds the address for datagrams, which can arrive at once: like [`bind`](Self::bind),
    /// without a `listen`. To send takes the right to write.
    ///
    /// # Errors
    ///
    /// Those of [`bind`](PrivateAddress::bind). On systems other than Linux and Android also
    /// `PermissionDenied`, if the umask leaves more rights than `mode`, or any rights to a group
    /// that is not yet the right one. Others could have sent before these were cut.
    pub fn bind_datagram(&self) -> io::Result<(UnixDatagram, SocketFile)> {
        let (socket, file) = self.make(Type::DGRAM)?;
        Ok((UnixDatagram::from(OwnedFd::from(socket)), file))
    }

    fn make(&self, kind: Type) -> io::Result<(Socket, SocketFile)> {
        let path = &*self.path;
        sys::check_mode(path, self.mode)?;
        let bytes = path.as_os_str().as_bytes();
        // A NUL at the head makes an abstract address; elsewhere `bind` takes what stands before
        // it.
        if path.file_name().is_none() || bytes.ends_with(b"/") || bytes.contains(&0) {
            let reason = "is no name of a file";
            return Err(error_at(ErrorKind::InvalidInput, path, reason));
        }
        let address = SockAddr::unix(path)?;
        let path = std::path::absolute(path)?; // the current folder may change before the drop
        let folder = open_folder(&path)?;
        let is_replaceable = self.check_folder(&folder, &path)?;
        let _lock = Locked::new(folder, PATIENCE)?;
        remove_stale(&path, &address, kind)?;

        let socket = Socket::new(Domain::UNIX, kind, None)?;
        // Until the file has its group, its rights would be those of another one.
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
            let _ = fs::remove_file(&file.path); // under the lock that is held
            file.keep();
            return Err(error);
        }
        Ok((socket, file))
    }

    /// Gives the file that was bound its group and its mode.
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
            return refused("the umask lets others send before the rights are cut");
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
        // Neither follows what took its place.
        if group.is_some() {
            std::os::unix::fs::chown(&path, None, group)?;
        }
        match mode == self.mode {
            true => Ok(()),
            false => fs::set_permissions(&path, Permissions::from_mode(self.mode)),
        }
    }

    /// Whether others can replace what is in the folder; an error if they may not.
    fn check_folder(&self, folder: &File, path: &Path) -> io::Result<bool> {
        const SETGID: u32 = 0o2000;
        const STICKY: u32 = 0o1000;
        let about = folder.metadata()?;
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

/// Accepts a connection of that user's, by its [`peer_cred`](UnixStream::peer_cred): the user at
/// the time of the connect. Those of others are closed, unread; root is another. (In a user
/// namespace all users without a number look the same, `nobody`.)
///
/// # Errors
///
/// Those of `accept` and `peer_cred`.
///
/// # Platforms
///
/// Where [`UnixStream::peer_cred`] exists.
#[cfg(has_peer_cred)]
pub fn accept_from(listener: &UnixListener, uid: u32) -> io::Result<(UnixStream, SocketAddr)> {
    loop {
        let (stream, addr) = listener.accept()?;
        if stream.peer_cred()?.uid == uid {
            return Ok((stream, addr));
        }
    }
}

/// Removes what a listener has left behind, if there is anything; an error if it lives, or is none.
/// (Before the first `bind`, for XNU's follows a symbolic link.)
fn remove_stale(path: &Path, address: &SockAddr, kind: Type) -> io::Result<()> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there.file_type(),
        Err(gone) if gone.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !there.is_socket() {
        let reason = match there.is_symlink() {
            true => "is a symbolic link, which is not followed",
            false => "is there, and is no socket",
        };
        return Err(error_at(ErrorKind::AlreadyExists, path, reason));
    }
    let client = Socket::new(Domain::UNIX, kind, None)?;
    client.set_nonblocking(true)?; // its queue may be full
    match client.connect(address) {
        Err(refused) if refused.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(gone) if gone.kind() == ErrorKind::NotFound => Ok(()),
        Err(unknown) if unknown.kind() == ErrorKind::PermissionDenied => {
            let reason = "this user may not ask whether somebody listens there";
            Err(error_at(ErrorKind::AddrInUse, path, reason))
        }
        Err(unknown) if !sys::is_alive(&unknown) => Err(unknown),
        _ => Err(error_at(ErrorKind::AddrInUse, path, "somebody listens there")),
    }
}

/// The folder of a file. By its own entry for itself, which only a folder has: to open a FIFO would
/// wait.
fn open_folder(path: &Path) -> io::Result<File> {
    File::open(path.parent().unwrap_or(path).join("."))
}

/// A folder under its lock. It is unlocked, and not just closed: a child may have inherited it.
struct Locked(File);

impl Locked {
    fn new(folder: File, patience: Duration) -> io::Result<Locked> {
        let deadline = Instant::now() + patience;
        while !sys::try_lock(&folder)? {
            if Instant::now() >= deadline {
                let reason = "somebody holds the lock of the socket's folder";
                return Err(io::Error::new(ErrorKind::TimedOut, reason));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Locked(folder))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        sys::unlock(&self.0);
    }
}
