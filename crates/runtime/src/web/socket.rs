//! The browser's WebSocket. TLS is the browser's too: it decides which servers it believes.

use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{BinaryType, Event, MessageEvent, WebSocket};

/// What happened to a socket.
pub(super) enum Happened {
    /// It is open.
    Opened,
    /// A binary message came.
    Frame(Vec<u8>),
    /// It ended, or never was, or the server said something that is not ours.
    Closed,
}

pub(super) struct Socket {
    socket: WebSocket,
    _on_event: Closure<dyn FnMut(Event)>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
}

impl Socket {
    /// Begins to connect. `tell` hears what becomes of it.
    ///
    /// # Errors
    /// When the browser refuses to try.
    pub(super) fn open(url: &str, tell: impl Fn(Happened) + Clone + 'static) -> Result<Self, JsValue> {
        let socket = WebSocket::new(url)?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        let told = tell.clone();
        let on_event = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
            told(if event.type_() == "open" { Happened::Opened } else { Happened::Closed });
        });
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let bytes = event.data().dyn_into::<ArrayBuffer>().map(|buffer| Uint8Array::new(&buffer).to_vec());
            tell(bytes.map_or(Happened::Closed, Happened::Frame));
        });
        let listener = on_event.as_ref().unchecked_ref();
        socket.set_onopen(Some(listener));
        socket.set_onclose(Some(listener));
        socket.set_onerror(Some(listener));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        Ok(Self { socket, _on_event: on_event, _on_message: on_message })
    }

    pub(super) fn is_open(&self) -> bool {
        self.socket.ready_state() == WebSocket::OPEN
    }

    /// # Errors
    /// When the socket is not open.
    pub(super) fn send(&self, frame: &[u8]) -> Result<(), JsValue> {
        self.socket.send_with_u8_array(frame)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onclose(None);
        self.socket.set_onerror(None);
        self.socket.set_onmessage(None);
        // A socket that is closed already does not mind.
        let _ = self.socket.close();
    }
}
