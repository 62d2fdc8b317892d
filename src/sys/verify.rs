//! What protects this process: the work behind `crate::verify`.

use std::{fmt, io};

use super::technique::{Call, Technique};

/// What protects each kind of write of this process, as far as it is known now.
///
/// Each list names its techniques in the order in which they are tried. The first one protects; a
/// call for which it is refused falls back to the next. [`Display`](fmt::Display) prints a small
/// table.
///
/// ```
/// let protection = epipe::protection();
/// println!("a socket: {:?}", protection.socket_send());
/// println!("a pipe: {:?}", protection.pipe_write());
/// println!("sendfile: {:?}", protection.sendfile());
/// if protection.foreign_write().is_empty() {
///     println!("put sigpipe::suppressed around a C library that writes to a socket");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    pub(crate) socket_send: Vec<Technique>,
    pub(crate) foreign_write: Vec<Technique>,
    pub(crate) pipe_write: Vec<Technique>,
    pub(crate) sendfile: Vec<Technique>,
}

impl Protection {
    /// Lists what protects a write of this crate to a socket: of its types, and of `raw`'s send
    /// family.
    pub fn socket_send(&self) -> &[Technique] {
        &self.socket_send
    }

    /// Lists what protects a write that foreign code makes to a socket of this crate.
    ///
    /// If the list is empty, only [`sigpipe::suppressed`](crate::sigpipe::suppressed) around the
    /// write protects it.
    ///
    /// # Platforms
    ///
    /// On NetBSD the list is empty: the option protects there only until other flags are set by
    /// `F_SETFL`. Apple rejects the option on a socket that is shut down both ways before it is
    /// adopted; the close of a Unix peer does that. A foreign write to such a socket is not
    /// protected.
    #[doc(alias = "SO_NOSIGPIPE")]
    pub fn foreign_write(&self) -> &[Technique] {
        &self.foreign_write
    }

    /// Lists what protects a write of this crate to a pipe, also by `raw::write`.
    pub fn pipe_write(&self) -> &[Technique] {
        &self.pipe_write
    }

    /// Lists what protects a call of this crate on a socket that takes no flags: `sendfile`, where
    /// the system has it.
    pub fn sendfile(&self) -> &[Technique] {
        &self.sendfile
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            ("", "socket send", &self.socket_send),
            ("\n", "foreign write", &self.foreign_write),
            ("\n", "pipe write", &self.pipe_write),
            ("\n", "sendfile", &self.sendfile),
        ];
        for (start, what, techniques) in lines {
            write!(f, "{start}{what:<15}")?;
            for (place, technique) in techniques.iter().enumerate() {
                write!(f, "{}{technique}", if place == 0 { "" } else { ", else " })?;
            }
            if techniques.is_empty() {
                f.write_str("nothing: put sigpipe::suppressed around it")?;
            }
        }
        Ok(())
    }
}

/// Why [`verify()`](fn@crate::verify) reports an error: a flag is silently ignored, or a test could
/// not be made.
///
/// ```
/// use epipe::verify::Error;
///
/// match epipe::verify() {
///     Err(Error::SilentlyIgnored { technique, call }) => println!("{technique}, by {call}"),
///     Err(Error::CannotAsk(why)) => println!("not verified: {why}"),
///     _ => {}
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The call raised SIGPIPE in spite of the technique's flag. This process does not use the
    /// technique again: the next one protects what this crate writes.
    #[error(
        "{technique} is silently ignored: {call} raises SIGPIPE in spite of it; \
         this process stops using it"
    )]
    SilentlyIgnored {
        /// The technique that the system accepts without effect.
        technique: Technique,
        /// The first call that showed it.
        call: Call,
    },
    /// A test could not be made. The techniques in use stay in use, unverified. (`write_flag` is
    /// only in use after its own test.)
    #[error("the protection from SIGPIPE cannot be verified: {0}")]
    CannotAsk(io::Error),
}

/// What is in use now.
#[cfg(sigpipe)]
pub(crate) fn protection() -> Protection {
    #[cfg(send_flag_alone)]
    let has_send_flag = super::send_flag::is_in_use();
    #[cfg(not(send_flag_alone))]
    let has_send_flag = false;
    #[cfg(write_flag)]
    let has_write_flag = super::write_flag::is_trusted();
    #[cfg(not(write_flag))]
    let has_write_flag = false;
    let send_flag = (has_send_flag, Technique::SendFlag);
    let write_flag = (has_write_flag, Technique::WriteFlag);
    // A flag that does not stay set is used together with the guard.
    let has_fd_flag = cfg!(all(fd_flag, stays_set, not(epipe_refused = "fd_flag")));
    let fd_flag = (has_fd_flag, Technique::FdFlag);
    let has_option = cfg!(all(socket_option, stays_set, not(epipe_refused = "socket_option")));
    let option = (has_option, Technique::SocketOption);
    let guard = (true, super::guard::TECHNIQUE);
    Protection {
        socket_send: in_use(&[send_flag, option, guard]),
        // The option covers every write to its socket, also one that foreign code makes.
        foreign_write: in_use(&[option]),
        pipe_write: in_use(&[write_flag, fd_flag, guard]),
        sendfile: in_use(&[option, guard]),
    }
}

#[cfg(sigpipe)]
fn in_use(techniques: &[(bool, Technique)]) -> Vec<Technique> {
    techniques.iter().filter(|(is_in_use, _)| *is_in_use).map(|(_, name)| *name).collect()
}

/// Tests each flag that is to protect alone, also after one was found to be ignored.
#[cfg(sigpipe)]
pub(crate) fn verify() -> Result<Protection, Error> {
    if cfg!(raised_at_process) {
        // A test raises a SIGPIPE, which another thread of the host could die of.
        return Err(Error::CannotAsk(io::Error::new(
            io::ErrorKind::Unsupported,
            "this system directs SIGPIPE at the process, not at the thread that asks",
        )));
    }
    // With `EPIPE_REFUSE=thread_mask` the guard is a handler of the process. Another thread that
    // drops the last guard would discard the signal that a test has raised.
    let held = super::guard::enter().map_err(Error::CannotAsk)?;
    let answers: Vec<(Technique, io::Result<Option<Call>>)> = vec![
        #[cfg(send_flag_alone)]
        (Technique::SendFlag, super::send_flag::verify()),
        #[cfg(write_flag)]
        (Technique::WriteFlag, super::write_flag::verify()),
    ];
    drop(held);
    let mut error = None;
    for (technique, answer) in answers {
        match answer {
            Ok(None) => {}
            Ok(Some(call)) => return Err(Error::SilentlyIgnored { technique, call }),
            Err(found) => error = error.or(Some(found)),
        }
    }
    error.map_or_else(|| Ok(protection()), |error| Err(Error::CannotAsk(error)))
}

#[cfg(not(sigpipe))]
pub(crate) fn protection() -> Protection {
    let [socket_send, foreign_write, pipe_write, sendfile] =
        [(); 4].map(|()| vec![Technique::NotNeeded]);
    Protection { socket_send, foreign_write, pipe_write, sendfile }
}

#[cfg(not(sigpipe))]
pub(crate) fn verify() -> Result<Protection, Error> {
    Ok(protection())
}
