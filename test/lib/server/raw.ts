import { connect, type Socket } from 'node:net';

/** A raw connection, on which anything can be sent; `received` returns all that was received. */
export interface RawConnection {
  readonly socket: Socket;
  readonly received: () => string;
  /** Resolves when the other side has closed it. */
  readonly closed: Promise<void>;
}

export function open(url: string, text = '', localAddress?: string): RawConnection {
  const { hostname, port } = new URL(url);
  const socket = connect({ port: Number(port), host: hostname, localAddress });
  let received = '';
  socket.on('error', () => {});
  socket.on('data', (data) => {
    received += data.toString('latin1');
  });
  const closed = new Promise<void>((resolve) => {
    socket.on('close', () => resolve());
  });
  if (text !== '') socket.write(text);
  return { socket, received: () => received, closed };
}

/** Sends some bytes and returns everything received until the other side closes the connection. */
export async function say(url: string, text: string): Promise<string> {
  const connection = open(url, text);
  await connection.closed;
  return connection.received();
}

/** Status, headers and error of the first response in a text. */
export function answerIn(text: string) {
  const [head = '', ...bodies] = text.split('\r\n\r\n');
  const [first = '', ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  ) as Record<string, string>;
  const body = bodies.join('\r\n\r\n');
  const error = body.startsWith('{') ? (JSON.parse(body).error as Record<string, unknown>) : undefined;
  return { status: Number(first.split(' ')[1]), headers, error };
}

/** The text of a request. */
export function request(line: string, headers: Record<string, string | number> = {}, body = ''): string {
  const all = { host: 'localhost', ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${line} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}
