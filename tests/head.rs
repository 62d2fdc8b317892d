//! `examples/head.rs` before `head`: SIGPIPE ends it, without a message. If the signal stays
//! ignored, it panics. Its log survives a standard error without a reader. (What std writes after
//! `main` has scenes in tests/ecosystem: `end of main`.)

#![allow(missing_docs, reason = "a test")]

#[cfg(all(sigpipe, not(target_os = "redox")))]
#[path = "../examples/head.rs"]
mod head;
#[cfg(all(sigpipe, not(target_os = "redox")))]
#[path = "support/mod.rs"]
mod support;

#[cfg(all(sigpipe, not(target_os = "redox")))]
mod unix {
    use std::env;
    use std::io;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus, Stdio};

    use crate::{head, support};

    const PLAY: &str = "EPIPE_PLAY_HEAD";

    /// How a program ends before `head`: its status, what `head` printed, and its standard error.
    fn before_head(program: &str, stderr: impl Into<Stdio>) -> (ExitStatus, String, String) {
        let mut example = support::this_program();
        example.env(PLAY, program).stdout(Stdio::piped()).stderr(stderr);
        let mut example = example.spawn().unwrap();
        let lines = example.stdout.take().unwrap();
        let through = Command::new("head").args(["-n", "4"]).stdin(lines).output().unwrap();
        let ended = example.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (ended.status, text(through.stdout), text(ended.stderr))
    }

    fn without_reader() -> io::PipeWriter {
        io::pipe().unwrap().1
    }

    fn play(program: &str) {
        match program {
            "the example" => head::main().unwrap(),
            "ignored" => head::run().unwrap(),
            // The log on std.
            "eprintln" => {
                epipe::sigpipe::restore_default().unwrap();
                eprintln!("the log begins");
                println!("line 1");
            }
            _ => unreachable!("{program}"),
        }
    }

    pub fn main() {
        if let Some(program) = env::var_os(PLAY) {
            return play(program.to_str().unwrap());
        }
        let lines = "line 1\nline 2\nline 3\nline 4\n";
        let (status, through, log) = before_head("the example", Stdio::piped());
        assert_eq!((status.signal(), &*through), (Some(libc::SIGPIPE), lines), "{status}");
        let server = ["BrokenPipe", "ConnectionReset"];
        let server = server.map(|kind| format!("the log begins\nthe server is gone: {kind}\n"));
        assert!(server.contains(&log), "{log}");
        println!("SIGPIPE ends it ... ok");

        let (status, _, log) = before_head("ignored", Stdio::piped());
        assert_eq!(status.code(), Some(101));
        assert!(log.contains("failed printing to stdout"), "{log}");
        println!("SIGPIPE ends it: control ... ok");

        let (status, through, _) = before_head("the example", without_reader());
        assert_eq!((status.signal(), &*through), (Some(libc::SIGPIPE), lines), "{status}");
        println!("its log has no reader ... ok");

        let (status, through, _) = before_head("eprintln", without_reader());
        assert_eq!((status.signal(), &*through), (Some(libc::SIGPIPE), ""), "{status}");
        println!("its log has no reader: control ... ok");
    }
}

fn main() {
    #[cfg(all(sigpipe, not(target_os = "redox")))]
    unix::main();
}
