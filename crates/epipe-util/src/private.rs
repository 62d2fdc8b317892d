//! Unix addresses that only permitted users can connect to.
//!
//! [`bind`] makes the file of the address with exactly the rights that are asked for, and gives a
//! [`SocketFile`] that removes it. `accept_from` takes one user's connections alone.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
#[cfg(has_peer_cred)]
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use epipe::os::unix::net::UnixListener;
#[cfg(has_peer_cred)]
use epipe::os::unix::net::UnixStream;

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
    _pin: Option<File>,
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
/// # Limits
///
/// * **Users of other functions do not know the lock**: a server that binds the same path by itself
///   looks as if it were gone until it has called `listen`; so does a stream socket that is bound
///   there and never listens, a listener of another host on a shared file system, and, elsewhere
///   than on Linux and Android, one whose queue of connections is full.
/// * Who may read the folder may hold its lock: in `/tmp` any user can make this fail, and so does
///   a program that has locked the folder itself. Use a folder of your own, as below `/run`.
/// * Of the folders only the one that holds the file is looked at. Who may write to one above can
///   put another in its place.
/// * A relative path is for as long as no other thread changes the current folder.
/// * A file without the right to write for its owner is never replaced: nobody but root may ask
///   whether it lives.
/// * A default ACL of the folder is added to the rights of the group (acl(5)).
///
/// # Errors
///
/// * `AddrInUse`: somebody listens there, or it cannot be told.
/// * `AlreadyExists`: there is something that is no socket, a symbolic link for example. It is left
///   alone.
/// * `PermissionDenied`: its group or others may write to the folder, and it has no sticky bit:
///   they could replace the file. Or the folder is another user's, root's excepted.
/// * `TimedOut`: somebody holds the folder's lock for five seconds.
/// * `InvalidInput`: a mode beyond `0o777`, a path without a file name, an abstract address (it has
///   no rights).
/// * Those of `open`, `socket`, `bind`, `chmod` and `listen`. No file is left behind.
///
/// # Platforms
///
/// On Linux and Android the socket has its rights before it is bound (`fchmod`), and what the umask
/// has cut is added before `listen`. Elsewhere they are set between the two, where nobody can
/// connect yet; but who has been let through by the umask and is then held up, between two steps of
/// one `connect`, until after `listen`, gets in. (Without the `fchmod` Linux showed that within
/// seconds, to a stranger who tries in a loop.)
pub fn bind<P: AsRef<Path>>(path: P, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let path = path.as_ref();
    sys::check_mode(path, mode)?;
    let bytes = path.as_os_str().as_bytes();
    // A NUL at the head makes an abstract address; elsewhere `bind` takes what stands before it.
    if path.file_name().is_none() || bytes.ends_with(b"/") || bytes.contains(&0) {
        let reason = "is no name of a file";
        return Err(error_at(ErrorKind::InvalidInput, path, reason));
    }
    let address = SockAddr::unix(path)?;
    let path = std::path::absolute(path)?; // the current folder may change before the drop
    let folder = open_folder(&path)?;
    check_folder(&folder, &path)?;
    let _lock = Locked::new(folder, PATIENCE)?;
    remove_stale(&path, &address)?;

    let socket = sys::set_mode_before_bind(Socket::new(Domain::UNIX, Type::STREAM, None)?, mode)?;
    socket.bind(&address)?;
    let (bound, pin) = sys::pin(&path).inspect_err(|_| drop(fs::remove_file(&path)))?;
    let file =
        SocketFile { identity: identity(&bound), process: std::process::id(), _pin: pin, path };
    let listens = sys::set_rights(&file.path, mode).and_then(|()| socket.listen(BACKLOG));
    if let Err(error) = listens {
        let _ = fs::remove_file(&file.path); // under the lock that is held
        file.keep();
        return Err(error);
    }
    Ok((UnixListener::from(socket), file))
}

/// Accepts a connection of that user's, by its [`peer_cred`](UnixStream::peer_cred): who it was
/// when it connected. Those of others are closed, unread; root is another. (In a user namespace all
/// users without a number look the same, `nobody`.)
///
/// # Errors
///
/// Those of `accept`, and of the question who it is.
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
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
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
    let client = Socket::new(Domain::UNIX, Type::STREAM, None)?;
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

/// An error if others can replace what is in the folder.
fn check_folder(folder: &File, path: &Path) -> io::Result<()> {
    let about = folder.metadata()?;
    let refused = |reason| Err(error_at(ErrorKind::PermissionDenied, path, reason));
    let (by_others, sticky) = (0o022, 0o1000);
    if about.mode() & by_others != 0 && about.mode() & sticky == 0 {
        return refused(
            "the folder's group or others may write to it and it has no sticky bit: they could replace the socket",
        );
    }
    if ![0, sys::effective_user()].contains(&about.uid()) {
        return refused("the folder belongs to another user, who could replace the socket");
    }
    Ok(())
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
