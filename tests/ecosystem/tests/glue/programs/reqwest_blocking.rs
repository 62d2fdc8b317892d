use std::io;

use reqwest::blocking::{Client, ClientBuilder};

use super::sigpipe::suppressed;

pub fn build(builder: ClientBuilder) -> io::Result<Client> {
    // The client's own thread starts here, and inherits the blocked signal.
    suppressed(|| builder.build())?.map_err(io::Error::other)
}
