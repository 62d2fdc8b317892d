//! `epipe_util::fifo`: no call waits unexpectedly, and no other file is opened.

#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "umask has no safe form")]
#![cfg(target_os = "linux")]

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use epipe_util::fifo;

#[path = "support/deadline.rs"]
mod deadline;
use deadline::{in_, soon};
#[path = "support/directory.rs"]
mod directory;
use directory::Directory;

impl Directory {
    /// Makes a FIFO in the directory.
    fn fifo(&self) -> PathBuf {
        let path = self.0.join("fifo");
        fifo::create(&path, 0o600).unwrap();
        path
    }
}

/// Shortens the longest wait of `poll` to 20 ms, so that it ends during the test.
const SHORT_POLL: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <poll.h>
int poll(struct pollfd *fds, nfds_t count, int timeout) {
    int (*next)(struct pollfd *, nfds_t, int) = dlsym(RTLD_NEXT, "poll");
    return next(fds, count, timeout == INT_MAX ? 20 : timeout);
}
"#;

/// One poll waits 24.8 days at most.
#[test]
fn a_deadline_in_60_days_is_waited_for() {
    const IS_CHILD: &str = "EPIPE_SHORT_POLL";
    let name = "a_deadline_in_60_days_is_waited_for";
    let far = Instant::now() + Duration::from_secs(60 * 24 * 3600);
    if std::env::var_os(IS_CHILD).is_some() {
        let directory = Directory::new();
        let path = directory.fifo();
        let writer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            File::options().write(true).open(path).map(drop)
        });
        fifo::open_read(directory.0.join("fifo"), far).unwrap();
        writer.join().unwrap().unwrap();

        let (ours, theirs) = epipe::os::unix::net::UnixStream::pair().unwrap();
        let peer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            drop(theirs);
        });
        epipe_util::close::close_gracefully(ours, far).unwrap();
        peer.join().unwrap();
        return;
    }
    let directory = Directory::new();
    let (source, library) = (directory.0.join("poll.c"), directory.0.join("poll.so"));
    fs::write(&source, SHORT_POLL).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    if !compiler.status().is_ok_and(|status| status.success()) {
        println!("not tested: no C compiler");
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name]).env(IS_CHILD, "1").env("LD_PRELOAD", library);
    assert!(child.status().unwrap().success());
}

#[test]
fn the_mode_is_the_requested_one_for_any_umask() {
    // In a child, because the umask belongs to the whole process.
    if let Some(path) = std::env::var_os("EPIPE_FIFO") {
        let path = Path::new(&path);
        for mask in [0, 0o022, 0o077, 0o777] {
            for asked in [0o600, 0o666, 0o622, 0o200, 0] {
                // SAFETY: umask takes an integer.
                unsafe { libc::umask(mask) };
                fifo::create(path, asked).unwrap();
                let made = fs::symlink_metadata(path).unwrap().mode() & 0o7777;
                assert_eq!(made, asked, "umask {mask:o}");
                fs::remove_file(path).unwrap();
            }
        }
        return;
    }
    let directory = Directory::new();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_mode_is_the_requested_one_for_any_umask"])
        .env("EPIPE_FIFO", directory.0.join("fifo"))
        .output()
        .unwrap();
    let has_played = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(output.status.success() && has_played, "{output:?}");
}

#[test]
fn create_replaces_nothing() {
    let directory = Directory::new();
    let path = directory.fifo();
    let error = fifo::create(&path, 0o600).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let error = fifo::create(directory.0.join("other"), 0o1600).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = fifo::create("with\0nul", 0o600).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1);
}

#[test]
fn a_writer_without_a_reader_fails_at_once_but_std_waits() {
    let directory = Directory::new();
    let path = directory.fifo();
    let error = fifo::open_write(&path, None).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENXIO));
    let begun = Instant::now();
    let error = fifo::open_write(&path, Some(in_(50))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(begun.elapsed() >= Duration::from_millis(50));

    // Control: std's open waits for a reader.
    let (sender, receiver) = mpsc::channel();
    let same_path = path.clone();
    let opens = thread::spawn(move || {
        let opened = File::options().write(true).open(same_path);
        sender.send(()).unwrap();
        opened
    });
    let waited = receiver.recv_timeout(Duration::from_millis(200));
    assert_eq!(waited, Err(mpsc::RecvTimeoutError::Timeout), "std's open has not waited");
    let _reader = File::open(&path).unwrap();
    opens.join().unwrap().unwrap();
}

#[test]
fn a_writer_waits_for_its_reader() {
    let directory = Directory::new();
    let path = directory.fifo();
    let same_path = path.clone();
    let reads = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        let mut reader = fifo::open_read(same_path, soon()).unwrap();
        reader.set_nonblocking(false).unwrap();
        let mut received = String::new();
        reader.read_to_string(&mut received).unwrap();
        received
    });
    let mut writer = fifo::open_write(&path, Some(soon())).unwrap();
    writer.write_all(b"hello").unwrap();
    drop(writer);
    assert_eq!(reads.join().unwrap(), "hello");
}

#[test]
fn a_reader_waits_for_its_first_writer_but_std_reads_an_end() {
    let directory = Directory::new();
    let path = directory.fifo();
    let error = fifo::open_read(&path, in_(50)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.raw_os_error(), None);

    // Control: after a plain non-blocking open, a read returns an end before the first writer.
    use std::os::unix::fs::OpenOptionsExt;
    let mut plain = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    assert_eq!(plain.read(&mut [0]).unwrap(), 0);
    drop(plain);

    let same_path = path.clone();
    let writes = thread::spawn(move || {
        fifo::open_write(same_path, Some(soon())).unwrap().write_all(b"x").unwrap();
    });
    let mut reader = fifo::open_read(&path, soon()).unwrap();
    let mut byte = [0; 2];
    assert_eq!(reader.read(&mut byte).unwrap(), 1);
    writes.join().unwrap();
    assert_eq!(reader.read(&mut byte).unwrap(), 0, "the end after the writer");

    // A writer that opens and closes without writing counts too.
    let same_path = path.clone();
    let comes = thread::spawn(move || drop(fifo::open_write(same_path, Some(soon())).unwrap()));
    drop(reader);
    let mut reader = fifo::open_read(&path, soon()).unwrap();
    comes.join().unwrap();
    assert_eq!(reader.read(&mut byte).unwrap(), 0);
}

/// The second writer comes while the reader is at the end of the first.
#[test]
fn a_second_writer_loses_its_lines_with_open_read_but_not_with_open_read_endless() {
    let directory = Directory::new();
    let path = directory.fifo();
    let writes = |line: &str| {
        fifo::open_write(&path, Some(soon())).unwrap().write_all(line.as_bytes()).unwrap();
    };
    let mut buffer = [0; 16];

    // Control.
    let mut reader = thread::scope(|threads| {
        threads.spawn(|| writes("first"));
        fifo::open_read(&path, soon()).unwrap()
    });
    assert_eq!(reader.read(&mut buffer).unwrap(), 5);
    assert_eq!(reader.read(&mut buffer).unwrap(), 0, "the end of the first writer");
    writes("second");
    drop(reader); // and opened again
    let error = fifo::open_read(&path, in_(50)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "the second line is not lost");

    let mut reader = fifo::open_read_endless(&path).unwrap();
    for line in ["first", "second"] {
        assert_eq!(reader.read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        writes(line);
        let count = reader.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], line.as_bytes());
    }
}

/// Each writer opens the FIFO again for each line.
#[test]
fn no_line_of_two_writers_is_lost() {
    const EACH: usize = 150;
    let directory = Directory::new();
    let path = directory.fifo();
    for _ in 0..5 {
        let reader = fifo::open_read_endless(&path).unwrap();
        reader.set_nonblocking(false).unwrap();
        thread::scope(|threads| {
            for name in ["a", "b"] {
                let path = &path;
                threads.spawn(move || {
                    for number in 0..EACH {
                        let mut writer = fifo::open_write(path, None).unwrap();
                        writer.write_all(format!("{name} {number:03}\n").as_bytes()).unwrap();
                    }
                });
            }
            let mut all = vec![0; 2 * EACH * "a 000\n".len()];
            (&reader).read_exact(&mut all).unwrap();
            let all = String::from_utf8(all).unwrap();
            let mut lines: Vec<_> = all.lines().collect();
            lines.sort_unstable();
            lines.dedup();
            assert_eq!(lines.len(), 2 * EACH);
        });
    }
}

#[test]
fn handles_are_non_blocking_by_default() {
    let directory = Directory::new();
    let path = directory.fifo();
    let _other = File::options().read(true).write(true).open(&path).unwrap();
    let mut writer = fifo::open_write(&path, None).unwrap();
    let full = writer.write_all(&[0; 4 << 20]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    let mut reader = fifo::open_read(&path, soon()).unwrap();
    let empty = loop {
        match reader.read(&mut [0; 65536]) {
            Ok(0) => panic!("an end of file"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(empty.kind(), ErrorKind::WouldBlock);
    reader.set_nonblocking(false).unwrap();
    writer.write_all(b"x").unwrap();
    reader.read_exact(&mut [0]).unwrap();
}

#[test]
fn a_file_that_replaces_the_fifo_is_not_returned() {
    let directory = Directory::new();
    let path = directory.fifo();
    let is_over = AtomicBool::new(false);
    thread::scope(|threads| {
        // A file and a FIFO in turn, often with the same inode number.
        threads.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                fs::remove_file(&path).unwrap();
                fs::write(&path, "content").unwrap();
                fs::remove_file(&path).unwrap();
                fifo::create(&path, 0o600).unwrap();
            }
        });
        let end = Instant::now() + Duration::from_secs(2);
        let mut replaced = 0;
        while Instant::now() < end {
            let opened = fifo::open_read(&path, Instant::now());
            match opened {
                Ok(reader) => {
                    is_over.store(true, Ordering::Relaxed);
                    let file = File::from(std::os::fd::OwnedFd::from(reader));
                    assert!(file.metadata().unwrap().file_type().is_fifo());
                }
                Err(error) => replaced += u32::from(error.to_string().contains("replaced")),
            }
        }
        is_over.store(true, Ordering::Relaxed);
        println!("a replaced file was noticed {replaced} times");
    });
}

#[test]
fn other_files_are_not_opened() {
    let directory = Directory::new();
    let path = directory.fifo();
    let link = directory.0.join("link");
    symlink(&path, &link).unwrap();
    let file = directory.0.join("file");
    fs::write(&file, "content").unwrap();
    for other in [&link, &file, &directory.0, &PathBuf::from("/dev/null")] {
        for error in [
            fifo::open_write(other, None).unwrap_err(),
            fifo::open_write(other, Some(soon())).unwrap_err(),
            fifo::open_read(other, soon()).unwrap_err(),
            fifo::open_read_endless(other).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{other:?}: {error}");
            assert!(error.to_string().contains("is not a FIFO"), "{error}");
        }
    }
    assert_eq!(fs::read(&file).unwrap(), b"content");
    let missing = fifo::open_read(directory.0.join("missing"), soon()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    // SAFETY: geteuid has no precondition.
    if unsafe { libc::geteuid() } != 0 {
        let error = fifo::open_write(&path, Some(soon())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
}
