//! The code for each system. Only this module names systems and has `unsafe` code.

mod disconnect;
#[cfg(has_fifo)]
mod fifo;
#[cfg(has_unix_sockets)]
mod path;
#[cfg(has_socket2)]
pub(crate) mod queue;
#[cfg(has_socket2)]
mod receive;
#[cfg(has_unix_sockets)]
mod socket_file;
#[cfg(has_socket2)]
pub(crate) mod tcp_info;

pub(crate) use disconnect::kind_of_code;
#[cfg(has_fifo)]
pub(crate) use fifo::{is_no_reader, make_fifo, open_fifo, set_rights};
#[cfg(has_unix_sockets)]
pub(crate) use path::{check_mode, error_at};
#[cfg(has_poll)]
pub(crate) use receive::wait_readable;
#[cfg(has_socket2)]
pub(crate) use receive::{receive_by, refuse_nonblocking};
#[cfg(has_unix_sockets)]
pub(crate) use socket_file::{
    effective_group, effective_user, is_alive, path_of_pin, pin, set_mode_before_bind, try_lock,
    unlock,
};

/// The trait of types that lend a socket handle.
#[cfg(all(has_socket2, not(windows)))]
pub(crate) use std::os::fd::AsFd as AsSocket;
#[cfg(windows)]
pub(crate) use std::os::windows::io::AsSocket;
