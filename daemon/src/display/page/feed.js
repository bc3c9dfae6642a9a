// The daemon's messages as they come: text frames joined with the picture that follows them, over a socket that is reopened for ever.

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 2000;

/// Opens `/ws` and keeps it open. `onLink(open: boolean)`; `onMessage(message, picture: Blob|null)`,
/// where only a `trial` with `picture_bytes` > 0 has a picture, and none if its bytes came short.
export function follow({ onLink, onMessage }) {
  let retryMs = FIRST_RETRY_MS;
  const open = () => {
    const socket = new WebSocket(address());
    const joiner = joinPictures(onMessage);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => { retryMs = FIRST_RETRY_MS; onLink(true); };
    socket.onmessage = ({ data }) => (typeof data === 'string' ? joiner.text(data) : joiner.binary(data));
    socket.onclose = () => {
      onLink(false);
      setTimeout(open, retryMs);
      retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
    };
  };
  open();
}

/// Holds a trial back until its picture is there, so that nobody sees one trial's words over another one's picture.
export function joinPictures(onMessage) {
  let waiting = null;
  const release = (picture) => {
    if (waiting) onMessage(waiting, picture);
    waiting = null;
  };
  return {
    text(frame) {
      const message = JSON.parse(frame);
      if (message.protocol !== 'mindeye-result/1') throw new Error(`page speaks mindeye-result/1, daemon ${message.protocol}`);
      if (message.type !== 'trial') return onMessage(message, null);
      release(null);
      waiting = message;
      if (!(message.picture_bytes > 0)) release(null);
    },
    binary(bytes) {
      const whole = waiting && bytes.byteLength === waiting.picture_bytes;
      release(whole ? new Blob([bytes], { type: 'image/png' }) : null);
    },
  };
}

function address() {
  const { protocol, host } = window.location;
  return `${protocol === 'https:' ? 'wss' : 'ws'}://${host}/ws`;
}
