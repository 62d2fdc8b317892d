//! Single calls, in batches. No other thread reads meanwhile, so the time is that of the calls.

use std::hint::black_box;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use criterion::Criterion;
use epipe::sigpipe;
use epipe_benches::{Lane, curl, libpq};
use rustix::net::SendFlags;

use crate::table::{CALLS, Clock, Ratio, Table};

pub const LENGTHS: [(&str, usize); 4] =
    [("64 B", 64), ("1 KiB", 1 << 10), ("16 KiB", 16 << 10), ("256 KiB", 256 << 10)];

/// Times a batch of writes of `len` bytes, then reads the bytes.
#[inline]
fn batch(
    lane: &Lane,
    clock: Clock,
    len: usize,
    mut call: impl FnMut() -> io::Result<usize>,
) -> Duration {
    let calls = lane.calls(len);
    let mut written = 0;
    let time = clock.time(|| {
        for _ in 0..calls {
            written += framed(&mut call).unwrap();
        }
    });
    assert_eq!(written, calls * len, "every write fits");
    lane.drain(written);
    time
}

/// Makes the call in a function of its own, which returns. Some processors forget their return
/// addresses in the kernel, and pay at the first return after a system call (measured on AMD: 50 to
/// 250 ns). A crate that inlines the system call, as rustix does, leaves this cost to its caller. A
/// loop that never returns would hide it.
#[inline(never)]
fn framed<T>(call: &mut impl FnMut() -> T) -> T {
    black_box(call())
}

/// A row of two calls that write `len` bytes to the same connection.
fn row(
    table: &mut Table<'_>,
    name: &str,
    lane: &Lane,
    len: usize,
    mut subject: impl FnMut(&[u8]) -> io::Result<usize>,
    mut peer: impl FnMut(&[u8]) -> io::Result<usize>,
) {
    let data = vec![b'x'; len];
    table.row(
        name,
        |clock| batch(lane, clock, len, || subject(&data)),
        |clock| batch(lane, clock, len, || peer(&data)),
    );
}

/// `Write::write` of two types.
fn writes<S, P>(table: &mut Table<'_>, name: &str, lane: &Lane, len: usize)
where
    S: Write + From<OwnedFd>,
    P: Write + From<OwnedFd>,
{
    let (mut subject, mut peer) = (lane.writer::<S>(), lane.writer::<P>());
    row(table, name, lane, len, |data| subject.write(data), |data| peer.write(data));
}

/// `Write::write_vectored` of two types.
fn slices<S, P>(table: &mut Table<'_>, name: &str, lane: &Lane, len: usize, number: usize)
where
    S: Write + From<OwnedFd>,
    P: Write + From<OwnedFd>,
{
    let data = vec![b'x'; len];
    let slices: Vec<IoSlice<'_>> = data.chunks(len / number).map(IoSlice::new).collect();
    let (mut subject, mut peer) = (lane.writer::<S>(), lane.writer::<P>());
    row(
        table,
        name,
        lane,
        len,
        |_| subject.write_vectored(&slices),
        |_| peer.write_vectored(&slices),
    );
}

pub fn write(criterion: &mut Criterion<Ratio>) {
    let mut table = Table::new(criterion, "write", CALLS);
    let (tcp, unix) = (Lane::tcp(), Lane::unix());
    for (size, len) in LENGTHS {
        use std::net::TcpStream;
        use std::os::unix::net::UnixStream;
        if matches!(len, 64 | 0x4000) {
            let aa = format!("A/A: TCP, {size} against itself");
            writes::<TcpStream, TcpStream>(&mut table, &aa, &tcp, len);
            let aa = format!("A/A: Unix, {size} against itself");
            writes::<UnixStream, UnixStream>(&mut table, &aa, &unix, len);
        }
        let name = format!("TCP, {size} against std write");
        writes::<epipe::net::TcpStream, TcpStream>(&mut table, &name, &tcp, len);
        let name = format!("Unix, {size} against std write");
        writes::<epipe::os::unix::net::UnixStream, UnixStream>(&mut table, &name, &unix, len);
    }
}

pub fn write_vectored(criterion: &mut Criterion<Ratio>) {
    let mut table = Table::new(criterion, "write_vectored", CALLS);
    let (tcp, unix) = (Lane::tcp(), Lane::unix());
    for (size, len) in LENGTHS {
        use std::net::TcpStream;
        use std::os::unix::net::UnixStream;
        if matches!(len, 64 | 0x4000) {
            let aa = format!("A/A: TCP, {size} in 2 slices against itself");
            slices::<TcpStream, TcpStream>(&mut table, &aa, &tcp, len, 2);
            let aa = format!("A/A: Unix, {size} in 2 slices against itself");
            slices::<UnixStream, UnixStream>(&mut table, &aa, &unix, len, 2);
        }
        for n in [2, 8] {
            let name = format!("TCP, {size} in {n} slices against std write_vectored");
            slices::<epipe::net::TcpStream, TcpStream>(&mut table, &name, &tcp, len, n);
            let name = format!("Unix, {size} in {n} slices against std write_vectored");
            slices::<epipe::os::unix::net::UnixStream, UnixStream>(
                &mut table, &name, &unix, len, n,
            );
        }
    }
}

pub fn pipe(criterion: &mut Criterion<Ratio>, group: &str) {
    use std::io::PipeWriter;
    let mut table = Table::new(criterion, group, CALLS);
    let lane = Lane::pipe();
    for (size, len) in LENGTHS {
        if matches!(len, 64 | 0x4000) {
            let aa = format!("A/A: {size} against itself");
            writes::<PipeWriter, PipeWriter>(&mut table, &aa, &lane, len);
        }
        let name = format!("{size} against std write");
        writes::<epipe::io::PipeWriter, PipeWriter>(&mut table, &name, &lane, len);

        let name = format!("{size} against writev");
        let (mut subject, mut peer) =
            (lane.writer::<epipe::io::PipeWriter>(), lane.writer::<PipeWriter>());
        row(
            &mut table,
            &name,
            &lane,
            len,
            |data| subject.write(data),
            |data| peer.write_vectored(&[IoSlice::new(data)]),
        );
        if len == 64 {
            // No code of this crate can be cheaper: the flag needs a call that takes slices.
            let name = format!("floor: the bare writev, {size} against the bare write");
            let fd = lane.writer::<OwnedFd>();
            let fd = fd.as_raw_fd();
            row(
                &mut table,
                &name,
                &lane,
                len,
                |data| {
                    let slices = [IoSlice::new(data)];
                    // SAFETY: IoSlice has the layout of iovec, and the count is one.
                    bare(unsafe { libc::writev(fd, slices.as_ptr().cast(), 1) })
                },
                // SAFETY: the pointer and the length are those of one slice.
                |data| bare(unsafe { libc::write(fd, data.as_ptr().cast(), data.len()) }),
            );
        }
        if matches!(len, 64 | 0x4000) {
            for n in [1, 2, 8] {
                let slice = if n == 1 { "slice" } else { "slices" };
                let name = format!("{size} in {n} {slice} against std write_vectored");
                slices::<epipe::io::PipeWriter, PipeWriter>(&mut table, &name, &lane, len, n);
            }
        }
    }
}

fn bare(written: isize) -> io::Result<usize> {
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

pub fn pipe_under_a_guard(criterion: &mut Criterion<Ratio>, group: &str) {
    use std::io::PipeWriter;
    let mut table = Table::new(criterion, group, CALLS);
    let lane = Lane::pipe();
    // std's write does not know of the guard, so its cost is the same as without one.
    let _guard = sigpipe::guard().unwrap();
    let aa = "A/A: 64 B against itself";
    writes::<PipeWriter, PipeWriter>(&mut table, aa, &lane, 64);
    for (size, len) in &LENGTHS[..3] {
        let name = format!("{size} against std write");
        writes::<epipe::io::PipeWriter, PipeWriter>(&mut table, &name, &lane, *len);
    }
}

/// For pipe writes without a flag: in a build that refuses it, or on Linux before 6.18.
pub fn mask(criterion: &mut Criterion<Ratio>) {
    use std::io::PipeWriter;
    let lane = Lane::pipe();
    // After the first write it is known whether this system refuses the technique.
    lane.writer::<epipe::io::PipeWriter>().write_all(b"x").unwrap();
    lane.drain(1);
    let protection = epipe::protection();
    if protection.pipe_write().contains(&epipe::verify::Technique::WriteFlag) {
        println!("mask: not measured: pipe writes use write_flag here (EPIPE_REFUSE=write_flag)");
        return;
    }
    let mut table = Table::new(criterion, "mask", CALLS);
    let (mut one, mut other) = (lane.writer::<PipeWriter>(), lane.writer::<PipeWriter>());
    row(
        &mut table,
        "A/A: pipe, 64 B against itself",
        &lane,
        64,
        |data| libpq(|| one.write(data)),
        |data| libpq(|| other.write(data)),
    );
    for (size, len) in &LENGTHS[..3] {
        let mut subject = lane.writer::<epipe::io::PipeWriter>();
        row(
            &mut table,
            &format!("pipe, {size} against libpq's way"),
            &lane,
            *len,
            |data| subject.write(data),
            |data| libpq(|| one.write(data)),
        );
    }
}

/// The writes of other crates, and the ways of C libraries around std's write.
pub fn others(criterion: &mut Criterion<Ratio>) {
    let mut table = Table::new(criterion, "others", CALLS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let _entered = runtime.enter();

    for (size, len) in [LENGTHS[0], LENGTHS[2]] {
        let (lane, other) = (Lane::tcp(), Lane::tcp());
        let stream: std::net::TcpStream = other.writer();
        stream.set_nonblocking(true).unwrap();
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        runtime.block_on(stream.writable()).unwrap();
        sockets::<epipe::net::TcpStream, std::net::TcpStream>(
            &mut table,
            &format!("TCP, {size}"),
            (&lane, &other),
            len,
            |data| stream.try_write(data),
        );

        let (lane, other) = (Lane::unix(), Lane::unix());
        let stream: std::os::unix::net::UnixStream = other.writer();
        stream.set_nonblocking(true).unwrap();
        let stream = tokio::net::UnixStream::from_std(stream).unwrap();
        runtime.block_on(stream.writable()).unwrap();
        sockets::<epipe::os::unix::net::UnixStream, std::os::unix::net::UnixStream>(
            &mut table,
            &format!("Unix, {size}"),
            (&lane, &other),
            len,
            |data| stream.try_write(data),
        );

        let (lane, other) = (Lane::pipe(), Lane::pipe());
        let sender = tokio::net::unix::pipe::Sender::from_owned_fd(other.writer()).unwrap();
        runtime.block_on(sender.writable()).unwrap();
        common::<epipe::io::PipeWriter, std::io::PipeWriter>(
            &mut table,
            &format!("pipe, {size}"),
            (&lane, &other),
            len,
            |data| sender.try_write(data),
        );
    }
}

/// The rows of a socket. A pipe has no `send`.
fn sockets<S, P>(
    table: &mut Table<'_>,
    what: &str,
    (lane, other): (&Lane, &Lane),
    len: usize,
    tokio: impl FnMut(&[u8]) -> io::Result<usize>,
) where
    S: Write + From<OwnedFd>,
    P: Write + From<OwnedFd>,
{
    let mut subject: S = lane.writer();
    let peer: socket2::Socket = lane.writer();
    row(
        table,
        &format!("{what} against socket2 send"),
        lane,
        len,
        |data| subject.write(data),
        |data| peer.send(data),
    );
    let peer: OwnedFd = lane.writer();
    row(
        table,
        &format!("{what} against rustix send(NOSIGNAL)"),
        lane,
        len,
        |data| subject.write(data),
        |data| Ok(rustix::net::send(&peer, data, SendFlags::NOSIGNAL)?),
    );
    common::<S, P>(table, what, (lane, other), len, tokio);
}

/// The rows of every handle. tokio writes to a connection of its own, which its reactor watches.
fn common<S, P>(
    table: &mut Table<'_>,
    what: &str,
    (lane, other): (&Lane, &Lane),
    len: usize,
    mut tokio: impl FnMut(&[u8]) -> io::Result<usize>,
) where
    S: Write + From<OwnedFd>,
    P: Write + From<OwnedFd>,
{
    let mut subject: S = lane.writer();
    let (mut one, mut two) = (lane.writer::<P>(), lane.writer::<P>());
    row(
        table,
        &format!("A/A: {what} against itself"),
        lane,
        len,
        |data| one.write(data),
        |data| two.write(data),
    );
    row(
        table,
        &format!("{what} against libpq's way"),
        lane,
        len,
        |data| subject.write(data),
        |data| libpq(|| one.write(data)),
    );
    row(
        table,
        &format!("{what} against curl's way"),
        lane,
        len,
        |data| subject.write(data),
        |data| curl(|| one.write(data)),
    );
    let data = vec![b'x'; len];
    table.row(
        &format!("{what} against tokio try_write"),
        |clock| batch(lane, clock, len, || subject.write(&data)),
        |clock| batch(other, clock, len, || tokio(&data)),
    );
}

/// A guard around nothing.
pub fn guard(criterion: &mut Criterion<Ratio>) {
    let mut table = Table::new(criterion, "guard", CALLS);
    table.row(
        "A/A: curl's way against itself",
        |clock| repeat(clock, || curl(nothing)),
        |clock| repeat(clock, || curl(nothing)),
    );
    table.row(
        "suppressed around nothing against curl's way",
        |clock| repeat(clock, || sigpipe::suppressed(nothing).unwrap()),
        |clock| repeat(clock, || curl(nothing)),
    );
    // No code of this crate can be cheaper: a guard around foreign code needs three calls, as
    // curl's way does.
    table.row(
        "floor: the three bare calls against curl's three bare calls",
        |clock| repeat(clock, bare_guard),
        |clock| repeat(clock, bare_sigactions),
    );
    table.row(
        "suppressed around nothing against libpq's way",
        |clock| repeat(clock, || sigpipe::suppressed(nothing).unwrap()),
        |clock| repeat(clock, || libpq(|| Ok(nothing())).unwrap()),
    );
}

/// Block, ask what is pending, unblock.
fn bare_guard() -> u8 {
    let set: u64 = 1 << (libc::SIGPIPE - 1);
    let mut found: u64 = 0;
    let none = std::ptr::null_mut::<u64>();
    let (set, found) = (&raw const set, &raw mut found);
    // SAFETY: each pointer is null, or points to a set of 8 bytes, as the kernel's are.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, set, found, 8_usize);
        libc::syscall(libc::SYS_rt_sigpending, found, 8_usize);
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_UNBLOCK, set, none, 8_usize);
    }
    nothing()
}

/// Ask, ignore, restore, with the kernel's own structures.
fn bare_sigactions() -> u8 {
    // Handler, flags, restorer, mask.
    let mut found = [0_u64; 4];
    let ignore = [libc::SIG_IGN as u64, 0, 0, 0];
    let none = std::ptr::null_mut::<u64>();
    let (found, ignore) = (found.as_mut_ptr(), ignore.as_ptr());
    // SAFETY: both have the layout of the kernel's sigaction on 64-bit machines. The last call sets
    // the action that the first one found.
    unsafe {
        libc::syscall(libc::SYS_rt_sigaction, libc::SIGPIPE, none, found, 8_usize);
        libc::syscall(libc::SYS_rt_sigaction, libc::SIGPIPE, ignore, none, 8_usize);
        libc::syscall(libc::SYS_rt_sigaction, libc::SIGPIPE, found, none, 8_usize);
    }
    nothing()
}

fn nothing() -> u8 {
    black_box(0)
}

#[inline]
fn repeat(clock: Clock, mut call: impl FnMut() -> u8) -> Duration {
    clock.time(|| {
        for _ in 0..200 {
            framed(&mut call);
        }
    })
}
