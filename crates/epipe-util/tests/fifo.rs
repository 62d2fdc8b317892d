//! `epipe_util::fifo`: nothing blocks by surprise, nothing else is opened.

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
#[path = "support/folder.rs"]
mod folder;
use folder::Folder;

impl Folder {
    /// A FIFO in it.
    fn fifo(&self) -> PathBuf {
        let path = self.0.join("fifo");
        fifo::create(&path, 0o600).unwrap();
        path
    }
}

/// As a `poll` that was asked to wait as long as it can comes to its end.
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

/// A poll waits 24.8 days at most.
#[test]
fn a_deadline_in_60_days_is_waited_for() {
    const IS_CHILD: &str = "EPIPE_SHORT_POLL";
    let name = "a_deadline_in_60_days_is_waited_for";
    let far = Instant::now() + Duration::from_secs(60 * 24 * 3600);
    if std::env::var_os(IS_CHILD).is_some() {
        let folder = Folder::new();
        let path = folder.fifo();
        let writer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            File::options().write(true).open(path).map(drop)
        });
        fifo::open_read(folder.0.join("fifo"), far).unwrap();
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
    let folder = Folder::new();
    let (source, library) = (folder.0.join("poll.c"), folder.0.join("poll.so"));
    fs::write(&source, SHORT_POLL).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    if !compiler.status().is_ok_and(|status| status.success()) {
        println!("there is no C compiler here: not played");
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name]).env(IS_CHILD, "1").env("LD_PRELOAD", library);
    assert!(child.status().unwrap().success());
}

#[test]
fn the_rights_are_those_asked_for_whatever_the_umask() {
    // The umask is the process's: a child has one of its own.
    if let Some(path) = std::env::var_os("EPIPE_FIFO") {
        let path = Path::new(&path);
        for mask in [0, 0o022, 0o077, 0o777] {
            for asked in [0o600, 0o666, 0o622, 0o200, 0] {
                // SAFETY: it takes an integer.
                unsafe { libc::umask(mask) };
                fifo::create(path, asked).unwrap();
                let made = fs::symlink_metadata(path).unwrap().mode() & 0o7777;
                assert_eq!(made, asked, "umask {mask:o}");
                fs::remove_file(path).unwrap();
            }
        }
        return;
    }
    let folder = Folder::new();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_rights_are_those_asked_for_whatever_the_umask"])
        .env("EPIPE_FIFO", folder.0.join("fifo"))
        .output()
        .unwrap();
    let has_played = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(output.status.success() && has_played, "{output:?}");
}

#[test]
fn create_replaces_nothing() {
    let folder = Folder::new();
    let path = folder.fifo();
    let error = fifo::create(&path, 0o600).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let error = fifo::create(folder.0.join("other"), 0o1600).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = fifo::create("with\0nul", 0o600).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn a_writer_without_a_reader_is_told_at_once_and_std_hangs() {
    let folder = Folder::new();
    let path = folder.fifo();
    let error = fifo::open_write(&path, None).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENXIO));
    let begun = Instant::now();
    let error = fifo::open_write(&path, Some(in_(50))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(begun.elapsed() >= Duration::from_millis(50));

    // The control: std's open waits until somebody reads.
    let (tell, told) = mpsc::channel();
    let its = path.clone();
    let opens = thread::spawn(move || {
        let opened = File::options().write(true).open(its);
        tell.send(()).unwrap();
        opened
    });
    let waited = told.recv_timeout(Duration::from_millis(200));
    assert_eq!(waited, Err(mpsc::RecvTimeoutError::Timeout), "it has not blocked");
    let _reader = File::open(&path).unwrap();
    opens.join().unwrap().unwrap();
}

#[test]
fn a_writer_waits_for_its_reader() {
    let folder = Folder::new();
    let path = folder.fifo();
    let its = path.clone();
    let reads = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        let mut reader = fifo::open_read(its, soon()).unwrap();
        reader.set_nonblocking(false).unwrap();
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        said
    });
    let mut writer = fifo::open_write(&path, Some(soon())).unwrap();
    writer.write_all(b"hello").unwrap();
    drop(writer);
    assert_eq!(reads.join().unwrap(), "hello");
}

#[test]
fn a_reader_waits_for_its_first_writer_and_std_sees_an_end() {
    let folder = Folder::new();
    let path = folder.fifo();
    let error = fifo::open_read(&path, in_(50)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.raw_os_error(), None);

    // The control: a plain non-blocking open reads an end where nobody has written yet.
    use std::os::unix::fs::OpenOptionsExt;
    let mut plain = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    assert_eq!(plain.read(&mut [0]).unwrap(), 0);
    drop(plain);

    let its = path.clone();
    let writes = thread::spawn(move || {
        fifo::open_write(its, Some(soon())).unwrap().write_all(b"x").unwrap();
    });
    let mut reader = fifo::open_read(&path, soon()).unwrap();
    let mut byte = [0; 2];
    assert_eq!(reader.read(&mut byte).unwrap(), 1);
    writes.join().unwrap();
    assert_eq!(reader.read(&mut byte).unwrap(), 0, "the writer has gone");

    // One that comes and goes without a word has been there all the same.
    let its = path.clone();
    let comes = thread::spawn(move || drop(fifo::open_write(its, Some(soon())).unwrap()));
    drop(reader);
    let mut reader = fifo::open_read(&path, soon()).unwrap();
    comes.join().unwrap();
    assert_eq!(reader.read(&mut byte).unwrap(), 0);
}

/// Two writers, one after the other, while the reader is at the end of the first.
#[test]
fn a_second_writer_loses_its_lines_by_open_read_and_not_by_open_read_endless() {
    let folder = Folder::new();
    let path = folder.fifo();
    let writes = |line: &str| {
        fifo::open_write(&path, Some(soon())).unwrap().write_all(line.as_bytes()).unwrap();
    };
    let mut said = [0; 16];

    // The control.
    let mut reader = thread::scope(|threads| {
        threads.spawn(|| writes("first"));
        fifo::open_read(&path, soon()).unwrap()
    });
    assert_eq!(reader.read(&mut said).unwrap(), 5);
    assert_eq!(reader.read(&mut said).unwrap(), 0, "the end of the first");
    writes("second");
    drop(reader); // to open it again
    let error = fifo::open_read(&path, in_(50)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "the second is lost");

    let mut reader = fifo::open_read_endless(&path).unwrap();
    for line in ["first", "second"] {
        assert_eq!(reader.read(&mut said).unwrap_err().kind(), ErrorKind::WouldBlock);
        writes(line);
        let count = reader.read(&mut said).unwrap();
        assert_eq!(&said[..count], line.as_bytes());
    }
}

/// Each writer opens the FIFO for each line.
#[test]
fn no_line_of_two_writers_is_lost() {
    const EACH: usize = 150;
    let folder = Folder::new();
    let path = folder.fifo();
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
fn handles_are_non_blocking_until_told_otherwise() {
    let folder = Folder::new();
    let path = folder.fifo();
    let _other = File::options().read(true).write(true).open(&path).unwrap();
    let mut writer = fifo::open_write(&path, None).unwrap();
    let full = writer.write_all(&[0; 4 << 20]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    let mut reader = fifo::open_read(&path, soon()).unwrap();
    let empty = loop {
        match reader.read(&mut [0; 65536]) {
            Ok(0) => panic!("an end"),
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
fn what_takes_a_fifos_place_is_not_taken_for_one() {
    let folder = Folder::new();
    let path = folder.fifo();
    let is_over = AtomicBool::new(false);
    thread::scope(|threads| {
        // A file, a FIFO, a file: the inode's number is often the same.
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
        println!("seen to be replaced {replaced} times");
    });
}

#[test]
fn what_is_no_fifo_is_not_opened() {
    let folder = Folder::new();
    let path = folder.fifo();
    let link = folder.0.join("link");
    symlink(&path, &link).unwrap();
    let file = folder.0.join("file");
    fs::write(&file, "content").unwrap();
    for other in [&link, &file, &folder.0, &PathBuf::from("/dev/null")] {
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
    let missing = fifo::open_read(folder.0.join("missing"), soon()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    // SAFETY: it has no condition.
    if unsafe { libc::geteuid() } != 0 {
        let error = fifo::open_write(&path, Some(soon())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
}
