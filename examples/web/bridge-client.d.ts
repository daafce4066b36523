/**
 * Connects to a service of this library. The connection waits for the identity, holds back what is
 * sent until then, and connects again when that can help, until it ends for good.
 *
 * Set RefuseAfterUpgrade on the service: a browser hides the status of a refused upgrade, and this
 * client then cannot tell a refusal from a network that is down and tries again and again.
 *
 * @param url where the service is; relative to the page, and http: is taken as ws:
 * @throws TypeError if the URL is not of a WebSocket or holds a secret, or an option makes no sense
 */
export function connect(url: string | URL, options?: Options): Connection;

/** A credential, or how to get a fresh one for each attempt. Null: nobody is logged in. */
export type Credential = string | (() => string | null | Promise<string | null>);

export interface Options {
  /**
   * A JWT. It is sent as the first message, never in the URL. A function is asked before each
   * attempt and when the service says that the present token is about to expire. If it returns
   * null, the connection ends with `credentials_required`; if it throws, it is asked again later.
   *
   * Where the page's cookies say already who is here, the token must be that same user's by the
   * same authenticator, or the service ends the socket with `user_changed`. The same holds for a
   * rediskey.
   */
  token?: Credential;

  /** A session id, for where the session's cookie does not come along; not together with token. */
  rediskey?: Credential;

  /** The stack that the rediskey belongs to, such as "php". Default: all are asked. */
  stack?: string;

  /** Subprotocols of the application. */
  protocols?: string | string[];

  /** How binary messages arrive. */
  binaryType?: BinaryType;

  /** False: every end is for good. Default true. */
  reconnect?: boolean;

  /**
   * How long an attempt may be without an identity, in ms, the token function included. Default
   * 10,000. A service that also takes credentials by message waits for one, so a page that has
   * only cookies learns that nobody is logged in when this time is over.
   */
  timeout?: number;

  /** The first pause before another attempt, in ms; it doubles each time. Default 500. */
  minDelay?: number;

  /** The longest pause before another attempt, in ms. Default 30,000. */
  maxDelay?: number;

  /** How many messages may wait for the identity. Default 64. */
  maxQueue?: number;

  /** How many bytes they may have, a character of a text counted as 3. Default 65,536. */
  maxQueueBytes?: number;

  /** The constructor of sockets, where there is no global one. */
  WebSocket?: new (url: URL, protocols?: string | string[]) => object;

  /** A socket is open, and nobody is authenticated yet. */
  onopen?(): void;

  /** The identity stands: after each attempt that succeeds, and after each refresh. */
  onidentity?(identity: Identity): void;

  /**
   * A message of the application, as it came: text, or binary as binaryType says. A service that
   * relays what its clients write should do so inside a message of its own: the events of the
   * service are told by their form alone.
   */
  onmessage?(data: any): void;

  /** The service refused a credential. If the identity stands, it goes on standing until it expires. */
  onrefused?(refusal: { code: Code; message: string }): void;

  /** The socket is gone, and another attempt follows in delay ms. */
  onretry?(end: End & { delay: number }): void;

  /** The connection has ended for good; called once. Most often: log in again. */
  onended?(end: End): void;
}

export interface Connection {
  /**
   * `connecting` until the identity stands, `closing` once the service has said why it closes,
   * `waiting` between two attempts, `ended` for good.
   */
  readonly state: 'connecting' | 'authenticated' | 'closing' | 'waiting' | 'ended';

  /** Who the service says is here; null as long as nobody is authenticated. */
  readonly identity: Identity | null;

  /** How many messages wait for the identity. */
  readonly queued: number;

  /**
   * Sends a message, or keeps it until the identity stands. What waits is dropped when the
   * connection ends, or when the next identity is another user's. A message that is under way
   * when the socket breaks may be lost: have the service answer those that matter.
   *
   * @throws Error if the connection has ended, or too much is waiting
   */
  send(data: string | ArrayBufferLike | Blob | ArrayBufferView): void;

  /** Ends the connection for good, with the code `client_request`. */
  close(): void;

  /** Asks the service to forget who is here; it ends the connection with `client_request`. */
  deauthenticate(): void;
}

export interface Identity {
  user: string;
  /** Who vouched: `php`, `express`, `jwt`, … */
  via: string;
  /** Until when it holds as far as is known; null if no end is known. */
  expires: Date | null;
}

export interface End {
  /** Why, in the service's word; null if it did not say. */
  code: Code | null;
  /** The socket's close code; 0 if it was given up before it closed. */
  closeCode: number;
  /** The same in words; may be empty. */
  message: string;
}

export type Code =
  | 'credentials_required'
  | 'credentials_bad_format'
  | 'credentials_rejected'
  | 'invalid_secret'
  | 'invalid_session'
  | 'invalid_token'
  | 'origin_not_allowed'
  | 'authentication_timeout'
  | 'unavailable'
  | 'draining'
  | 'session_ended'
  | 'session_expired'
  | 'token_expired'
  | 'user_changed'
  | 'revoked'
  | 'client_request';
