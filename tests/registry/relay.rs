//! A relay in front of the registry that can be closed, like a network that fails.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A listener that forwards to the registry. It exists only while the relay is open.
pub struct Relay {
    to: String,
    path: String,
    port: u16,
    way: Mutex<Option<Arc<Way>>>,
}

/// The open listener and its connections.
struct Way {
    listener: TcpListener,
    connections: Mutex<Vec<TcpStream>>,
}

impl Relay {
    /// Returns an open relay to the host of a URL.
    pub fn to(url: &str) -> Self {
        let rest = url.strip_prefix("http://").unwrap();
        let (to, path) = rest.split_at(rest.find('/').unwrap());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let relay = Self { to: to.to_owned(), path: path.to_owned(), port, way: Mutex::default() };
        relay.open();
        relay
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.port, self.path)
    }

    pub fn open(&self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        let way = Arc::new(Way { listener, connections: Mutex::default() });
        *self.way.lock().unwrap() = Some(way.clone());
        let to = self.to.clone();
        std::thread::spawn(move || {
            while let Ok((client, _)) = way.listener.accept() {
                // A closed relay holds no other reference.
                if Arc::strong_count(&way) == 1 {
                    return;
                }
                way.hand_on(client, &to);
            }
        });
    }

    /// Drops all connections and refuses new ones.
    pub fn close(&self) {
        let Some(way) = self.way.lock().unwrap().take() else { return };
        for connection in way.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        drop(way);
        // Wakes the thread that waits for a connection, which then sees that the relay is closed.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

impl Way {
    fn hand_on(&self, client: TcpStream, to: &str) {
        let Ok(other) = TcpStream::connect(to) else { return };
        self.connections.lock().unwrap().push(client.try_clone().unwrap());
        for (mut from, mut into) in
            [(client.try_clone().unwrap(), other.try_clone().unwrap()), (other, client)]
        {
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut into);
                let _ = into.shutdown(Shutdown::Both);
            });
        }
    }
}
