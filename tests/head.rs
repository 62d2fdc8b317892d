//! `examples/head.rs` as `| head` sees it: SIGPIPE ends it, and it says nothing. The control, where
//! the signal stays ignored, panics.

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
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus, Stdio};

    use crate::{head, support};

    const PLAY: &str = "EPIPE_PLAY_HEAD";

    /// How the example ends before `head`: its status, what came through, and what it said.
    fn before_head(argument: Option<&str>) -> (ExitStatus, String, String) {
        let mut example = support::this_program();
        example.args(argument).env(PLAY, "1").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut example = example.spawn().unwrap();
        let lines = example.stdout.take().unwrap();
        let through = Command::new("head").args(["-n", "4"]).stdin(lines).output().unwrap();
        let ended = example.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (ended.status, text(through.stdout), text(ended.stderr))
    }

    pub fn main() {
        if env::var_os(PLAY).is_some() {
            return head::main().unwrap();
        }
        let (status, through, said) = before_head(None);
        assert_eq!((status.signal(), &*said), (Some(libc::SIGPIPE), ""), "{status}");
        let lines: Vec<_> = through.lines().collect();
        let server = ["the server: Err(BrokenPipe)", "the server: Err(ConnectionReset)"];
        assert!(server.contains(&lines[0]), "{through}");
        assert_eq!(lines[1..], ["the child: Err(BrokenPipe)", "line 1", "line 2"]);
        println!("SIGPIPE ends it ... ok");

        let (status, _, said) = before_head(Some("--ignored"));
        assert_eq!(status.code(), Some(101));
        assert!(said.contains("failed printing to stdout"), "{said}");
        println!("SIGPIPE ends it: control ... ok");
    }
}

fn main() {
    #[cfg(all(sigpipe, not(target_os = "redox")))]
    unix::main();
}
