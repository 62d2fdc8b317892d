//! The requests that `--request` names.

/// The names that `--request` takes.
pub const NAMES: [&str; 7] = ["http", "tls", "modbus", "redis", "mqtt", "smtp", "postgresql"];

/// The request of that name. HTTP uses `host` and `path`; the server name of TLS is `host`.
pub fn named(
    name: &str,
    host: &str,
    path: &str,
    random: &mut impl FnMut() -> u64,
) -> Option<Vec<u8>> {
    Some(match name {
        "http" if host.contains(':') => {
            format!("GET {path} HTTP/1.1\r\nHost: [{host}]\r\n\r\n").into_bytes()
        }
        "http" => format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes(),
        "tls" => client_hello(host, random),
        // Read Holding Registers: transaction 1, protocol 0, 6 bytes; unit 1, function 3, the first
        // 10 registers. This request changes nothing on the device.
        "modbus" => vec![0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 10],
        "redis" => include_bytes!("../../requests/redis").to_vec(),
        "mqtt" => include_bytes!("../../requests/mqtt").to_vec(),
        "smtp" => include_bytes!("../../requests/smtp").to_vec(),
        "postgresql" => include_bytes!("../../requests/postgresql").to_vec(),
        _ => return None,
    })
}

/// A ClientHello of TLS 1.2 and 1.3 (RFC 8446, 4.1.2), which a server answers with its certificate.
fn client_hello(host: &str, random: &mut impl FnMut() -> u64) -> Vec<u8> {
    let mut bytes_32 = || -> Vec<u8> { (0..4).flat_map(|_| random().to_be_bytes()).collect() };
    let mut extensions = Vec::new();
    // An address is not a server name (RFC 6066, 3).
    if host.parse::<std::net::IpAddr>().is_err() {
        let name = [&[0][..], &sized(2, host.as_bytes())].concat();
        extensions.extend(extension(0, &sized(2, &name)));
    }
    extensions.extend(extension(10, &sized(2, &[0, 29, 0, 23, 0, 24]))); // x25519, P-256, P-384
    extensions.extend(extension(11, &sized(1, &[0]))); // uncompressed points
    let signatures = [4, 3, 5, 3, 6, 3, 8, 7, 8, 4, 8, 5, 8, 6, 4, 1, 5, 1, 6, 1];
    extensions.extend(extension(13, &sized(2, &signatures)));
    extensions.extend(extension(43, &sized(1, &[3, 4, 3, 3]))); // 1.3, 1.2
    extensions.extend(extension(45, &sized(1, &[1]))); // resumption with a new key
    // Any 32 bytes are a public key of x25519.
    let key = [&[0, 29][..], &sized(2, &bytes_32())].concat();
    extensions.extend(extension(51, &sized(2, &key)));

    let suites = [
        0x13, 1, 0x13, 2, 0x13, 3, 0xC0, 0x2B, 0xC0, 0x2F, 0xC0, 0x2C, 0xC0, 0x30, 0xCC, 0xA9,
        0xCC, 0xA8, 0, 0x9C, 0, 0x2F,
    ];
    let hello = [
        &[3, 3][..],
        &bytes_32(),
        &sized(1, &bytes_32()),
        &sized(2, &suites),
        &sized(1, &[0]),
        &sized(2, &extensions),
    ]
    .concat();
    let message = [&[1][..], &sized(3, &hello)].concat();
    [&[22, 3, 1][..], &sized(2, &message)].concat()
}

fn extension(number: u16, content: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &sized(2, content)].concat()
}

/// The content behind its length, which takes `length_bytes` bytes.
fn sized(length_bytes: usize, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_be_bytes();
    [&length[4 - length_bytes..], content].concat()
}
