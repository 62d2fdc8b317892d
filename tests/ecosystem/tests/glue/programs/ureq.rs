use std::io::{Read as _, Write as _};

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector};
use ureq::unversioned::transport::{LazyBuffers, NextTimeout, Transport};

use super::net::TcpStream;

#[derive(Debug)]
pub struct Tcp;

#[derive(Debug)]
pub struct Connection(TcpStream, LazyBuffers);

impl Connector for Tcp {
    type Out = Connection;

    fn connect(&self, to: &ConnectionDetails, _: Option<()>) -> Result<Option<Connection>, Error> {
        let stream = TcpStream::connect(&to.addrs[..])?;
        let (input, output) = (to.config.input_buffer_size(), to.config.output_buffer_size());
        Ok(Some(Connection(stream, LazyBuffers::new(input, output))))
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.1
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.0.set_write_timeout(timeout.not_zero().map(|timeout| *timeout))?;
        Ok(self.0.write_all(&self.1.output()[..amount])?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.set_read_timeout(timeout.not_zero().map(|timeout| *timeout))?;
        let amount = self.0.read(self.1.input_append_buf())?;
        self.1.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        false // a connection for each request
    }
}
