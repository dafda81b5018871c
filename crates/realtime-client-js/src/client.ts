// The client: one connection that comes back, and what is said over it.

import { adviceOf, readReason } from "./advice.js";
import { Answers } from "./answers.js";
import { Backoff } from "./backoff.js";
import { opened, type Packed } from "./bytes.js";
import { isOffline, watchEnvironment } from "./environment.js";
import { ConnectionLost, RequestError } from "./errors.js";
import { Link, PING_ID } from "./link.js";
import { Listeners, report } from "./listeners.js";
import { type Options, type Settings, settingsOf, type TokenReason } from "./options.js";
import { type AskOptions, type Done, Outbox } from "./outbox.js";
import { type Host, type Position, Room } from "./room.js";
import type { AnyRoutes, Message, Name, Of, RoutesOf } from "./routes.js";
import type { State } from "./state.js";
import { type Readable, Store } from "./store.js";
import { after, type Timer } from "./timer.js";
import { type Found, Tokens } from "./tokens.js";

/** What comes over the connection. */
interface Envelope extends Message, Omit<Packed, "data"> {
  id?: number;
  request?: string;
}

/** When there are more rooms than this, those that nobody uses are forgotten. */
const ROOMS_KEPT = 100;

/** A connection to a gateway. Nothing happens before {@link connect}. */
export class Client<R extends RoutesOf<R> = AnyRoutes> {
  readonly #url: string | URL;
  readonly #settings: Settings;
  readonly #tokens: Tokens | undefined;
  readonly #state = new Store<State>({ status: "idle" });
  readonly #backoff: Backoff;
  readonly #outbox: Outbox;
  readonly #routes = new Listeners();
  readonly #answers = new Answers();
  // biome-ignore lint/suspicious/noExplicitAny: a room of whatever routes
  readonly #rooms = new Map<string, Room<any>>();
  /** Those that nobody uses, as long as somebody has them. */
  // biome-ignore lint/suspicious/noExplicitAny: a room of whatever routes
  readonly #unused = new Map<string, WeakRef<Room<any>>>();
  readonly #host: Host;
  #link: Link | undefined;
  /** It may be used for what does no harm if it is done twice; the rest waits for `online`. */
  #isOpen = false;
  #environment: AbortController | undefined;
  /** Raised with each attempt, and with its end: what belongs to an older one is void. */
  #attempt = 0;
  #timer: Timer | undefined;
  /** Until a token is shown anew on this connection. */
  #renewing: Timer | undefined;
  /** Why the next token is asked for. */
  #reason: TokenReason = "connect";
  /** The server has asked to stay away until then. */
  #notBefore = 0;
  /** Since the last message from the server a token was refused. */
  #wasRefused = false;

  /** The URL is that of the gateway; relative to the page's own, and with `http` or `ws`. */
  constructor(url: string | URL, options: Options = {}) {
    this.#url = url;
    this.#settings = settingsOf(options);
    const { token, connectTimeout, queue } = this.#settings;
    this.#tokens = token && new Tokens(token, connectTimeout);
    this.#backoff = this.#newBackoff();
    this.#outbox = new Outbox(queue);
    this.#host = {
      isOpen: () => this.#isOpen,
      ask: (route, data, done) => this.#ask(route, data, {}, done, true),
      request: (route, data, options) => this.#request(route, data, options),
      deliver: (message) => this.#routes.emit(message.route, message.data, message),
      keep: (room) => {
        this.#rooms.set(room.name, room);
        this.#unused.delete(room.name);
      },
      backoff: () => this.#newBackoff(),
    };
  }

  /** How it is with the connection: a store. */
  get state(): Readable<State> {
    return this.#state;
  }

  /** Connects, and comes back until {@link close}. */
  connect(): this {
    const { status } = this.#state.get();
    if (status !== "idle" && status !== "ended") return this;
    this.#environment = new AbortController();
    watchEnvironment(
      {
        onHope: () => {
          this.#link?.probe();
          const state = this.#state.get();
          if (Date.now() >= this.#notBefore) this.retry();
          else if (state.status === "offline" && !isOffline()) {
            this.#state.set({ ...state, status: "waiting" });
          }
        },
        onOffline: () => {
          this.#link?.probe();
          const state = this.#state.get();
          if (state.status === "waiting") this.#state.set({ ...state, status: "offline" });
        },
      },
      this.#environment.signal,
    );
    this.#backoff.reset();
    this.#reason = "connect";
    this.#wasRefused = false;
    this.#start();
    return this;
  }

  /** Tries at once where it waits for the next attempt. */
  retry(): void {
    const { status } = this.#state.get();
    if (status === "waiting" || status === "offline") this.#start();
  }

  /** Ends the connection, and what waits for it. Rooms are joined again after the next `connect()`. */
  close(): void {
    if (this.#isWanted()) this.#finish({ status: "idle" }, 1000);
  }

  /**
   * Asks the server. Rejects with a `RequestError` where it answers with one, with `ConnectionLost`
   * or `Timeout` where there is no answer, and with the reason of `signal` where that is aborted.
   *
   * ```ts
   * const price = await client.request("price", { of: "tea" }, { timeout: 5_000 });
   * ```
   */
  request<K extends Name<R>>(
    route: K,
    ...[data, options]: undefined extends Of<R, K, "request">
      ? [data?: Of<R, K, "request">, options?: AskOptions]
      : [data: Of<R, K, "request">, options?: AskOptions]
  ): Promise<Of<R, K, "reply">> {
    return this.#request(route, data, options) as Promise<Of<R, K, "reply">>;
  }

  /** Sends without an answer. False if that can neither be sent now nor wait to be. */
  send<K extends Name<R>>(
    route: K,
    ...[data]: undefined extends Of<R, K, "request">
      ? [data?: Of<R, K, "request">]
      : [data: Of<R, K, "request">]
  ): boolean {
    if (!this.#isWanted()) return false;
    return this.#outbox.post(route, data, this.#settings.timeout, this.#sender());
  }

  /**
   * Hears the messages on a route, in whatever room or in none. The server's own are there, too:
   * `gap`, `expiring`, `removed`, and `error` for what was sent without an id. Returns what ends it.
   */
  on<K extends Name<R> | "gap" | "expiring" | "removed" | "error">(
    route: K,
    listener: K extends Name<R>
      ? (data: Of<R, K, "event">, message: Message<Of<R, K, "event">>) => unknown
      : (data: unknown, message: Message) => unknown,
  ): () => void {
    return this.#routes.add(route, listener);
  }

  /**
   * Answers the server's own requests on a route: with what the handler returns, or with the
   * `RequestError` that it throws. The last handler counts. Returns what removes it.
   *
   * ```ts
   * client.handle("confirm", async (question) => window.confirm(question));
   * ```
   */
  handle<K extends Name<R>>(
    route: K,
    handler: (
      data: Of<R, K, "question">,
      message: Message<Of<R, K, "question">>,
    ) => Of<R, K, "answer"> | Promise<Of<R, K, "answer">>,
  ): () => void {
    return this.#answers.add(route, handler);
  }

  /** A room: the same object for the same name. */
  room(name: string): Room<R> {
    const known = this.#rooms.get(name) ?? this.#unused.get(name)?.deref();
    if (known) return known;
    if (this.#rooms.size >= ROOMS_KEPT) this.#forget();
    const room = new Room<R>(name, this.#host);
    this.#rooms.set(name, room);
    return room;
  }

  /** Makes room for others. Who has one of these rooms, and uses it later, has the right one. */
  #forget(): void {
    for (const [name, room] of this.#unused) if (!room.deref()) this.#unused.delete(name);
    for (const [name, room] of this.#rooms) {
      if (this.#rooms.size < ROOMS_KEPT) break;
      if (!room.isUnused()) continue;
      this.#rooms.delete(name);
      this.#unused.set(name, new WeakRef(room));
    }
  }

  async #start(): Promise<void> {
    const attempt = ++this.#attempt;
    clearTimeout(this.#timer);
    this.#state.set({ status: "connecting" });
    let found: Found | undefined;
    try {
      found = await this.#tokens?.ask(this.#reason);
    } catch (error) {
      if (attempt === this.#attempt) this.#wait({ reason: `there is no token now: ${error}` });
      return;
    }
    if (attempt !== this.#attempt) return;
    if (found?.kind === "nobody") {
      return this.#finish({ status: "ended", reason: "nobody is signed in" });
    }
    if (found?.kind === "stale") {
      const reason = "the token was refused";
      if (this.#wasRefused) return this.#finish({ status: "ended", code: 3500, reason });
      return this.#wait({ reason });
    }
    try {
      this.#open(found?.token);
    } catch {
      // It would be so the next time, too. What was thrown may have the token in it.
      const reason = "there can be no WebSocket with this URL, or with a token of these characters";
      this.#finish({ status: "ended", reason });
    }
  }

  #open(token: string | undefined): void {
    const { tokenIn, tokenParameter, WebSocket } = this.#settings;
    const url = new URL(this.#url, globalThis.location?.href);
    url.protocol = url.protocol.replace("http", "ws");
    const protocols = [...this.#settings.protocols];
    if (token !== undefined) {
      this.#tokens?.show(token);
      if (tokenIn === "protocol") protocols.push(`token.${token}`);
      if (tokenIn === "query") url.searchParams.set(tokenParameter, token);
    }
    let hasOpened = false;
    const link = new Link(new WebSocket(url.href, protocols), this.#settings, {
      onOpen: () => {
        hasOpened = true;
        if (token === undefined || tokenIn !== "message") return this.#greet(false);
        const shown = (error?: Error) => {
          if (link !== this.#link) return;
          if (!error) return this.#greet(true);
          link.end();
          this.#ended(1006, error.message, true);
        };
        this.#ask("authenticate", { token }, {}, shown, true);
      },
      onFrame: (frame) => this.#receive(frame),
      onEnd: (code, reason) => this.#ended(code, reason, hasOpened),
    });
    this.#link = link;
  }

  /**
   * Says something to which there is an answer. An open connection may be one that the server ends at
   * once, since the token isn't right, and throws away what was sent. So it counts from the first
   * message of the server on, and what mustn't be lost waits until then.
   */
  #greet(isAccepted: boolean): void {
    const link = this.#link;
    this.#isOpen = true;
    const isHeard = this.#outbox.size;
    for (const room of [...this.#rooms.values()]) room.enter();
    // Without a ping there may be nothing to which there is an answer.
    if (isAccepted || !this.#settings.ping) this.#online();
    else if (this.#outbox.size === isHeard) link?.probe();
  }

  #online(): void {
    // Before anybody hears of it, and sends more: what has waited longer is first.
    this.#outbox.flush((frame) => this.#link?.send(frame));
    this.#state.set({ status: "online" });
  }

  #receive(frame: unknown): void {
    // Not when it opens: something on the way may end each connection right after that.
    this.#backoff.reset();
    this.#reason = "connect";
    this.#wasRefused = false;
    const link = this.#link;
    if (this.#isOpen && !this.#isOnline()) this.#online();
    // Somebody who heard of that has closed it.
    if (link !== this.#link) return;
    let message: Envelope;
    try {
      message = opened(Object(JSON.parse(frame as string)));
    } catch (error) {
      return report(error);
    }
    const { id, request, route, data, room } = message;
    if (id !== undefined) {
      if (id !== PING_ID) this.#outbox.answer(id, route, data);
    } else if (request !== undefined) {
      this.#answer(request, message);
    } else if (room !== undefined) {
      const known = this.#rooms.get(room);
      if (known) known.receive(message);
      else this.#routes.emit(route, data, message);
    } else {
      this.#heed(route, data);
      this.#routes.emit(route, data, message);
    }
  }

  /** What the server says of this session. */
  #heed(route: string, data: unknown): void {
    if (route === "expiring") this.#renew("expiring");
    if (route === "removed") this.#rooms.get(Object(data).room)?.removed();
    if (route === "gap") {
      const rooms = Object(Object(data).rooms) as Record<string, Position>;
      for (const room of [...this.#rooms.values()]) room.gap(rooms[room.name]);
    }
  }

  /** Shows a fresh token on this connection, until that has worked or the server closes it. */
  async #renew(reason: TokenReason, backoff = this.#newBackoff()): Promise<void> {
    const link = this.#link;
    clearTimeout(this.#renewing);
    const again = (reason: TokenReason, least = 0) => {
      // What is lost with its connection isn't tried again on another one.
      if (link !== this.#link) return;
      clearTimeout(this.#renewing);
      this.#renewing = after(least + backoff.next(), () => this.#renew(reason, backoff));
    };
    let found: Found | undefined;
    try {
      found = await this.#tokens?.ask(reason);
    } catch {
      return again(reason);
    }
    // Who has nothing to show is closed in a while, and asked once more then.
    if (found?.kind !== "token" || link !== this.#link || !this.#isOnline()) return;
    const { token } = found;
    this.#ask("authenticate", { token }, {}, (error) => {
      if (!error) {
        this.#tokens?.show(token);
      } else if (!(error instanceof RequestError)) {
        again(reason);
      } else if (error.code === "expired") {
        this.#tokens?.refuse(token);
        again("expired");
      } else if (error.temporary) {
        again(reason, error.retryAfter);
      }
    });
  }

  /** Answers a request of the server, on the connection on which it came. */
  async #answer(request: string, message: Envelope): Promise<void> {
    const link = this.#link;
    const frame = await this.#answers.to(request, message);
    if (link === this.#link) link?.send(frame);
  }

  #ended(code: number, text: string, hasOpened: boolean): void {
    const { reason, slot } = readReason(text);
    const advice = adviceOf(code);
    const isRefused = advice === "refused" && (!this.#tokens || this.#wasRefused);
    if (advice === "away" || isRefused) return this.#finish({ status: "ended", code, reason });
    if (advice === "later") this.#backoff.slow();
    this.#reason = hasOpened ? "connect" : "unreachable";
    if (advice === "expired" || advice === "refused") {
      this.#tokens?.refuse();
      this.#reason = advice;
      this.#wasRefused = advice === "refused";
    }
    this.#wait({ code, reason }, slot, advice === "later" || slot !== undefined);
  }

  /** With a slot no sooner than that; and where it is asked to, no sooner for whatever hope. */
  #wait(why: { code?: number; reason: string }, slot = 0, isAsked = false): void {
    const wait = Math.max(slot, this.#backoff.next());
    const retryAt = Date.now() + wait;
    this.#notBefore = isAsked ? retryAt : 0;
    const status = isOffline() ? "offline" : "waiting";
    this.#lose({ status, retryAt, ...why }, after(wait, () => this.#start()));
  }

  #finish(state: State, code?: number): void {
    this.#environment?.abort();
    this.#tokens?.drop();
    const link = this.#link;
    this.#lose(state);
    if (code !== undefined) link?.end(code);
  }

  /** There is no connection any more. Without a timer there won't be another. */
  #lose(state: State, timer?: Timer): void {
    this.#attempt += 1;
    const attempt = this.#attempt;
    clearTimeout(this.#timer);
    clearTimeout(this.#renewing);
    this.#timer = timer;
    this.#link = undefined;
    this.#isOpen = false;
    // First the state, so that nobody who hears of a loss takes this for a connection.
    this.#state.set(state);
    // Who hears that it has ended may have connected anew: then what waits goes on waiting.
    const isOver = timer === undefined && attempt === this.#attempt;
    this.#outbox.lose(isOver);
    for (const room of [...this.#rooms.values()]) {
      if (isOver) room.over(new ConnectionLost("the client is closed"));
      else room.disconnected();
    }
  }

  #request(route: string, data: unknown, options: AskOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (!this.#isWanted()) throw new ConnectionLost("the client isn't connected");
      this.#ask(route, data, options, (error, reply) => {
        // The reason of a signal may be anything.
        if (error === undefined) resolve(reply);
        else reject(error);
      });
    });
  }

  #ask(route: string, data: unknown, options: AskOptions, done: Done, isDirect = false): void {
    const bounded = { ...options, timeout: options.timeout ?? this.#settings.timeout };
    this.#outbox.ask(route, data, bounded, this.#sender(isDirect), () => this.#link?.probe(), done);
  }

  /** What sends now, if that can be. */
  #sender(isDirect = false): ((frame: string) => void) | undefined {
    const link = this.#link;
    return link && (isDirect || this.#isOnline()) ? (frame) => link.send(frame) : undefined;
  }

  #isOnline(): boolean {
    return this.#state.get().status === "online";
  }

  #isWanted(): boolean {
    const { status } = this.#state.get();
    return status !== "idle" && status !== "ended";
  }

  #newBackoff(): Backoff {
    const { first, most } = this.#settings.backoff;
    return new Backoff(first, most);
  }
}

/**
 * A {@link Client} that connects at once.
 *
 * ```ts
 * const client = connect("/ws", { token: async () => (await fetch("/token")).text() });
 * const order = client.room("order:42");
 * order.on("status", (status) => console.log(status));
 * await order.join();
 * ```
 */
export function connect<R extends RoutesOf<R> = AnyRoutes>(
  url: string | URL,
  options?: Options,
): Client<R> {
  return new Client<R>(url, options).connect();
}
