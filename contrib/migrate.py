#!/usr/bin/env python3
"""Write `epipe` for `std`, `tokio` and `socket2` in the lines that name a type that writes.

    migrate.py [--dry-run] [--dependency 'epipe = "0.1"'] [PATH...]  change, and list what is left
    migrate.py --left [PATH...]                                      only list what is left

Comments, strings and `macro_rules!` are never changed. Afterwards run `cargo fmt`, read the
difference, and look at each line of the list: `docs/migration.md` says what to do about it.
"""

import argparse
import difflib
import pathlib
import re

# Names that epipe replaces, by the module of the original: they write, or return a type that
# writes.
WRITES = {
    "std::net": "TcpStream TcpListener UdpSocket Incoming IntoIncoming",
    "std::os::unix::net": "UnixStream UnixListener UnixDatagram Incoming",
    "std::os::linux::net": "TcpStreamExt",
    "std::io": "pipe PipeReader PipeWriter copy stdout stderr Stdout StdoutLock Stderr StderrLock",
    "socket2": "Socket SockRef",
    "tokio::net": "TcpStream TcpListener TcpSocket UnixStream UnixListener UnixSocket",
    "tokio::net::tcp": "OwnedReadHalf OwnedWriteHalf ReadHalf WriteHalf ReuniteError",
    "tokio::net::unix": "OwnedReadHalf OwnedWriteHalf ReadHalf WriteHalf ReuniteError",
    "tokio::net::unix::pipe": "Sender OpenOptions pipe",
    "tokio::process": "Command Child ChildStdin",
    "tokio::io": "stdout stderr Stdout Stderr",
}
# Names that our modules re-export: a `use` line with one of these need not be split.
ALSO = {
    "std::net": "AddrParseError IpAddr Ipv4Addr Ipv6Addr Shutdown SocketAddr SocketAddrV4"
    " SocketAddrV6 ToSocketAddrs",
    "std::os::unix::net": "SocketAddr",
    "std::io": "BufRead BufReader BufWriter Cursor Error ErrorKind IoSlice IoSliceMut IsTerminal"
    " LineWriter Read Result Seek SeekFrom Stdin StdinLock Write empty read_to_string sink stdin",
    "socket2": "Domain Protocol SockAddr SockAddrStorage TcpKeepalive Type",
    "tokio::net": "ToSocketAddrs UdpSocket lookup_host",
    "tokio::process": "ChildStderr ChildStdout",
    "tokio::io": "AsyncBufRead AsyncBufReadExt AsyncRead AsyncReadExt AsyncWrite AsyncWriteExt"
    " BufReader BufWriter Error ErrorKind Interest ReadBuf Result Stdin copy stdin",
}
WRITES, ALSO = ({m: set(names.split()) for m, names in t.items()} for t in (WRITES, ALSO))

# The kinds of lines that are left to look at. `docs/migration.md` has a row for each.
LEFT = {
    "descriptor": r"\b(?:Owned|Borrowed|Raw)(?:Fd|Socket|Handle)\b|\.as_fd\(\)|"
                  r"\b(?:as|into)_raw_(?:fd|socket|handle)\b",
    "into": r"(?i)(?<![\w:])\w*(?:stream|sock|conn|tcp|unix|pipe|writer|fd|stdin|stdout)\w*"
            r"\.into\(\)",
    "adopted": r"\bFile::from\b|\bfrom_(?:raw_fd|fd|raw_socket|raw_handle|std)\b",
    "ends": r"\binto_unprotected\b|\.(?:into_inner|get_ref|get_mut)\(\)",
    "child": r"\.stdin\b(?!\()|\bChildStdin\b|\bstdin\((?:\w+::)*Stdio::piped",
    "FIFO": r"\.write\(true\)|\.append\(true\)|\bFile::(?:create|options)\b",
    "writer": r"(?:\b(?:dyn|impl)\s|(?<!:):)\s*(?!(?:\w+::)*fmt::)(?:\w+::)*(?:Async)?Write\b"
              r"(?!\s+for\b)",
    "print": r"\be?print(?:ln)?!|\bdbg!",
    "call": r"\b(?:libc|rustix|nix)::(?!c_)|\bsyscall\b",
    "C": r'\bextern\s+"C',
    "edge": r"\bpub\s+(?:\w+\s+)*fn\b.*\b(?:Tcp(?:Stream|Listener|Socket)|Udp(?:Socket)|Socket|"
            r"Unix(?:Stream|Listener|Datagram|Socket)|PipeReader|PipeWriter)\b",
    "io_uring": r"\b(?:io_uring|tokio_uring)\b",
    "foreign": r"\b(?:async_net|async_std|async_process|smol|mio|os_pipe|vsock|ssh2)::",
    "original": r"(?<![\w:])(?:" + "|".join(
        rf"{module}::(?:{'|'.join(sorted(names))}|\*)(?!\w)"
        for module, names in WRITES.items()) + ")",
}
LEFT = {name: re.compile(pattern) for name, pattern in LEFT.items()}

HIDDEN = re.compile(r"""//[^\n]*|/\*.*?\*/|\b[bc]?r(#*)".*?"\1|"(?:\\.|[^"\\])*["]"""
                    r"""|'(?:\\(?:'|[^']+)|[^\\'])'""", re.S)
USE = re.compile(r"(?<![\w#])(pub(?:\s*\([^)]*\))?\s+)?use\s+([^;<]+);")
PATH = re.compile(r"(?<![\w:])(::\s*)?((?:std|tokio|socket2)(?:\s*::\s*\w+)+)")


def hide(text):
    """The text with blanks for comments and strings, at the same length."""
    def blanks(found):
        is_abi = re.search(r"extern\s+$", text[max(0, found.start() - 12):found.start()])
        return found[0] if is_abi else re.sub(r"[^\n]", " ", found[0])
    return HIDDEN.sub(blanks, text)


def macro_bodies(code):
    """The (start, end) of each `macro_rules!`."""
    for found in re.finditer(r"\bmacro_rules!\s*\w+\s*", code):
        end = depth = 0
        for end in range(found.end(), len(code)):
            depth += (code[end] in "{([") - (code[end] in "})]")
            if not depth:
                break
        yield found.start(), end


def blank(code, spans):
    for start, end in spans:
        code = code[:start] + " " * (end - start) + code[end:]
    return code


def leaves(tree, prefix=()):
    """Each path of a `use` tree, as (path, alias)."""
    depth, start, parts = 0, 0, []
    for at, c in enumerate(tree + ","):
        depth += (c == "{") - (c == "}")
        if c == "," and not depth:
            parts.append(tree[start:at].strip())
            start = at + 1
    for part in filter(None, parts):
        head, brace, group = part.partition("{")
        path, _, alias = (word.strip() for word in re.sub(r"\s+as\s+", "\0", head).partition("\0"))
        path = prefix + tuple(word.strip() for word in path.split("::") if word.strip())
        if brace:
            yield from leaves(group.rstrip().removesuffix("}"), path)
        else:
            yield path, alias


def tree(paths):
    """The `use` trees of such paths, one for each first name."""
    heads = {}
    for path, alias in paths:
        heads.setdefault(path[0], []).append((path[1:], alias))
    done = []
    for head, rest in heads.items():
        if len(rest) == 1 and rest[0][0] == ("self",):
            rest = [((), rest[0][1])]
        done += [f"{head} as {alias}" if alias else head for path, alias in rest if not path]
        below = tree([leaf for leaf in rest if leaf[0]])
        if below:
            group = below[0] if len(below) == 1 else "{" + ", ".join(below) + "}"
            done.append(f"{head}::{group}")
    return done


def ours(path):
    return ("epipe",) + (path[1:] if path[0] == "std" else path)


def writes(path, alias, code):
    """Whether this path is a name that writes, or a module through which the file uses one."""
    module, name = "::".join(path[:-1]), path[-1]
    if name == "self":
        path, module, name = path[:-1], "::".join(path[:-2]), path[-2]
    if name == "*":
        return any(re.search(rf"(?<![:\w]){word}\b", code) for word in WRITES.get(module, ()))
    if name in WRITES.get(module, ()):
        return True
    if len(path) == 1 and alias in ("", path[0]):
        return False  # the crate's own name: PATH finds each `tokio::net` in the file
    whole = "::".join(path)
    for mod, names in WRITES.items():
        if mod == whole or mod.startswith(whole + "::"):
            below = mod[len(whole):] + "::"
            if re.search(rf"(?<![:\w]){alias or name}{below}(?:{'|'.join(names)})\b", code):
                return True
    return False


def above(text, code, start):
    """The attributes and doc comments above an item. A split repeats them."""
    top = start
    while True:
        at = len(text[:top].rstrip())
        line = text.rfind("\n", 0, at) + 1
        if re.match(r"\s*///", text[line:at]):
            top = line + len(text[line:at]) - len(text[line:at].lstrip())
        elif code[:at].endswith("]"):
            depth = 0
            while at and (depth := depth + (code[at - 1] == "]") - (code[at - 1] == "[")):
                at -= 1
            if at < 2 or code[at - 2] != "#":
                return text[top:start]
            top = at - 2
        else:
            return text[top:start]


def migrate(text):
    code, edits = hide(text), []
    outside = blank(code, macro_bodies(code))
    uses = list(USE.finditer(outside))
    spans = [item.span() for item in uses]
    bare = blank(code, spans)  # the code that uses the names
    for item in uses:
        paths = list(leaves(item[2].strip().removeprefix("::")))
        moved = [leaf for leaf in paths if writes(*leaf, bare)]
        if not moved:
            continue
        lead = "::" if item[2].lstrip().startswith("::") else ""
        mods = {"::".join(path[:-1]) for path, _ in moved}
        same = all(p in moved or "::".join(p[0][:-1]) in mods
                   and p[0][-1] in ALSO.get("::".join(p[0][:-1]), ()) for p in paths)
        if same and len({path[0] for path, _ in paths}) == 1:
            root = re.compile(r"\w+").search(code, item.start(2))
            edits.append((*root.span(), "::".join(ours((root[0],)))))
            continue
        indent = re.match(r"\s*", text[text.rfind("\n", 0, item.start()) + 1:])[0]
        kept = [leaf for leaf in paths if leaf not in moved]
        changed = [(ours(path), alias) for path, alias in moved]
        new = [f"{item[1] or ''}use {lead}{one};" for one in tree(kept) + tree(changed)]
        heading = f"\n{indent}{above(text, code, item.start())}"
        notes = re.findall(r"//[^\n]*|/\*.*?\*/", text[item.start():item.end()], re.S)
        notes = "".join(f"{note.rstrip()}\n{indent}" for note in notes)
        edits.append((*item.span(), notes + heading.join(new)))
    for found in PATH.finditer(blank(outside, spans)):
        path = tuple(word.strip() for word in found[2].split("::"))
        if any(path[at] in WRITES.get("::".join(path[:at]), ()) for at in range(1, len(path))):
            start = found.start(2)
            edits.append((start, start + len(path[0]), "::".join(ours(path[:1]))))
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def left(text):
    for number, (line, shown) in enumerate(zip(text.split("\n"), hide(text).split("\n")), 1):
        names = [name for name, pattern in LEFT.items() if pattern.search(shown)]
        if names and (names != ["descriptor"] or not shown.lstrip().startswith("use ")):
            yield f"{number}: {', '.join(names)}: {line.strip()}"


def main():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("paths", nargs="*", default=["src"], metavar="PATH",
                        help="a Rust file or a directory; `src` if there is none")
    parser.add_argument("--dry-run", action="store_true",
                        help="print the difference and the list, change nothing")
    parser.add_argument("--left", action="store_true",
                        help="print the list, change nothing")
    parser.add_argument("--dependency", metavar="LINE",
                        help="add this line to `Cargo.toml` (`epipe::tokio` needs"
                             " `features = [\"tokio\"]`)")
    options = parser.parse_args()
    rest = []
    for given in map(pathlib.Path, options.paths):
        for path in [given] if given.is_file() else sorted(given.rglob("*.rs")):
            old = path.read_bytes().decode()
            new = old if options.left else migrate(old)
            if options.dry_run:
                print("".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True),
                                                   str(path), str(path))), end="")
            elif new != old:
                path.write_bytes(new.encode())
            rest += [f"{path}:{line}" for line in left(new)]
    manifest = pathlib.Path("Cargo.toml")
    if options.dependency and not (options.dry_run or options.left):
        text = manifest.read_text()
        if not re.search(r"(?m)^(epipe\s*=|\[dependencies\.epipe\])", text):
            before, head, after = text.partition("\n[dependencies]\n")
            head = head or "\n[dependencies]\n"
            manifest.write_text(f"{before}{head}{options.dependency}\n{after}")
        if not re.search(r"(?m)^\s*edition\b(?!.*2015)", text):
            print("edition 2015: add `extern crate epipe;` to the root of the crate")
    print("\n".join(["left to look at:", *rest]) if rest else "nothing is left to look at")


if __name__ == "__main__":
    main()
