//! `Faulty`: each fault comes as the script says.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};

use epipe_testing::{At, Fault, Faulty, Operation};

#[test]
fn each_fault_comes_where_the_script_says() {
    let mut faulty = Faulty::new(Vec::new())
        .on_write(At::Call(2), Fault::WOULD_BLOCK)
        .on_write(At::Byte(6), Fault::NO_BUFFERS)
        .on_write(At::Byte(6), Fault::Short(1))
        .on_write(At::Byte(8), Fault::BROKEN_PIPE);
    let answers: Vec<_> = (0..8)
        .map(|_| faulty.write(b"1234").map_err(|error| error.raw_os_error().unwrap()))
        .collect();
    let expected = [
        Ok(4),
        Err(libc::EAGAIN),
        Ok(2), // up to byte 6
        Err(libc::ENOBUFS),
        Ok(1),
        Ok(1), // up to byte 8
        Err(libc::EPIPE),
        Ok(4), // the script has ended
    ];
    assert_eq!(answers, expected);
    assert_eq!(faulty.get_ref(), b"123412111234");
    assert!(faulty.unreached().is_empty());
    let injected: Vec<_> = faulty.injected().iter().map(|i| (i.call, i.byte)).collect();
    assert_eq!(injected, [(2, 4), (4, 6), (5, 6), (7, 8)]);
    assert_eq!(
        faulty.injected()[0].to_string(),
        format!("Write 2, after 4 bytes: Errno({})", libc::EAGAIN)
    );
}

#[test]
fn each_call_has_one_fault_and_none_is_lost() {
    let errno = |error: io::Error| error.raw_os_error().unwrap();
    let mut faulty = Faulty::new(Vec::new())
        .on_write(At::CallsFrom(1), Fault::Short(3))
        .on_write(At::Call(1), Fault::INTERRUPTED)
        .on_write(At::Call(1), Fault::Short(1))
        .on_write(At::Call(2), Fault::WOULD_BLOCK)
        .on_write(At::Byte(1), Fault::Short(2))
        .on_write(At::Byte(1), Fault::NO_BUFFERS);
    let answers: Vec<_> = (0..7).map(|_| faulty.write(b"1234").map_err(errno)).collect();
    let expected = [
        Err(libc::EINTR),
        Ok(1),
        Err(libc::EAGAIN), // due since call 2
        Ok(2),
        Err(libc::ENOBUFS), // due since byte 1
        Ok(3),
        Ok(3),
    ];
    assert_eq!(answers, expected);
    assert!(faulty.unreached().is_empty());
}

#[test]
fn a_broken_pipe_stays_broken() {
    let mut gone = Faulty::new(Vec::new()).on_write(At::BytesFrom(3), Fault::BROKEN_PIPE);
    assert_eq!(gone.write(b"12345").unwrap(), 3);
    for _ in 0..3 {
        assert_eq!(gone.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
    assert_eq!(gone.get_ref(), b"123");
}

#[test]
fn a_vectored_call_is_cut_inside_a_slice() {
    let mut faulty = Faulty::new(Vec::new())
        .on_write(At::Byte(3), Fault::INTERRUPTED)
        .on_read(At::Call(1), Fault::Short(3));
    let slices = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cdef")];
    assert_eq!(faulty.write_vectored(&slices).unwrap(), 3);
    assert_eq!(faulty.write_vectored(&slices).unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!(faulty.into_inner(), b"abc");

    let mut faulty = Faulty::new(&b"abcdef"[..]).on_read(At::Call(1), Fault::Short(3));
    let (mut one, mut two) = ([0; 2], [0; 4]);
    let mut slices = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
    assert_eq!(faulty.read_vectored(&mut slices).unwrap(), 3);
    assert_eq!((&one, &two), (b"ab", b"c\0\0\0"));
    assert_eq!(faulty.read_vectored(&mut [IoSliceMut::new(&mut two)]).unwrap(), 3);
    assert_eq!(&two, b"def\0");
}

#[test]
fn reads_writes_and_flushes_are_counted_apart() {
    let mut faulty = Faulty::new(io::Cursor::new(b"abcdef".to_vec()))
        .on_read(At::Call(2), Fault::INTERRUPTED)
        .on_write(At::Call(2), Fault::WOULD_BLOCK)
        .on_flush(At::Call(1), Fault::BROKEN_PIPE);
    faulty.read_exact(&mut [0; 2]).unwrap();
    faulty.write_all(b"C").unwrap();
    assert_eq!(faulty.write(b"D").unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(faulty.flush().unwrap_err().kind(), ErrorKind::BrokenPipe);
    faulty.flush().unwrap();
    assert_eq!(faulty.unreached()[0].operation, Operation::Read);
    let mut rest = String::new();
    faulty.read_to_string(&mut rest).unwrap(); // goes on after EINTR
    assert_eq!(rest, "def");
    assert!(faulty.unreached().is_empty());
}

#[test]
fn a_fault_of_every_call_stays_and_a_short_count_of_zero_ends() {
    let mut faulty = Faulty::new(Vec::new()).on_write(At::CallsFrom(1), Fault::Short(1));
    faulty.write_all(b"one by one").unwrap();
    // The last call offered one byte, so it was not shortened.
    assert_eq!(faulty.injected().len(), 9);
    let mut gone = Faulty::new(Vec::new()).on_write(At::CallsFrom(2), Fault::BROKEN_PIPE);
    gone.write_all(b"first").unwrap();
    for _ in 0..3 {
        assert_eq!(gone.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    }

    let mut ended = Faulty::new(&b"abc"[..]).on_read(At::Byte(2), Fault::Short(0));
    let error = ended.read_exact(&mut [0; 3]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    let mut full = Faulty::new(Vec::new()).on_write(At::Call(1), Fault::Short(0));
    assert_eq!(full.write_all(b"x").unwrap_err().kind(), ErrorKind::WriteZero);
}

#[test]
fn faults_that_never_came_are_returned() {
    let mut faulty = Faulty::new(Vec::new())
        .on_write(At::Byte(100), Fault::BROKEN_PIPE)
        .on_write(At::Call(1), Fault::Short(50)); // the call has 5 bytes
    faulty.write_all(b"hello").unwrap();
    assert_eq!(faulty.injected(), []);
    let unreached: Vec<_> = faulty.unreached().iter().map(|line| line.at).collect();
    assert_eq!(unreached, [At::Byte(100), At::Call(1)]);
}

#[test]
fn an_error_of_the_inner_handle_passes_untouched() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut faulty = Faulty::new(writer);
    // libtest ignores SIGPIPE.
    assert_eq!(faulty.write(b"x").unwrap_err().raw_os_error(), Some(libc::EPIPE));
}
