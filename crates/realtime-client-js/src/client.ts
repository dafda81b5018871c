// The client, as its users know it: one connection that comes back, and what is said over it.

import { Answers } from "./answers.js";
import { opened, type Packed } from "./bytes.js";
import { Connection } from "./connection.js";
import { PING_ID } from "./link.js";
import { Listeners, report } from "./listeners.js";
import type { Options } from "./options.js";
import type { AskOptions } from "./outbox.js";
import { type Host, Room } from "./room.js";
import { Rooms } from "./rooms.js";
import type { AnyRoutes, Asks, Message, Name, Of, RoutesOf } from "./routes.js";
import type { State } from "./state.js";
import type { Readable } from "./store.js";

/** What comes over the connection. */
interface Envelope extends Message, Omit<Packed, "data"> {
  id?: number;
  request?: string;
}

/** A connection to a gateway. Nothing happens before {@link connect}. */
export class Client<R extends RoutesOf<R> = AnyRoutes> {
  readonly #connection: Connection;
  readonly #routes = new Listeners();
  readonly #answers = new Answers();
  readonly #rooms = new Rooms();
  readonly #host: Host;

  /** The URL is that of the gateway; relative to the page's own, and with `http` or `ws`. */
  constructor(url: string | URL, options: Options = {}) {
    const rooms = this.#rooms;
    const connection = new Connection(url, options, {
      onOpen_: () => rooms.each_((room) => room.enter_()),
      onFrame_: (frame) => this.#receive(frame),
      onLost_: (why) => {
        rooms.each_((room) => {
          if (why) room.over_(why);
          else room.disconnected_();
        });
      },
    });
    this.#connection = connection;
    this.#host = {
      registry_: rooms,
      connection_: connection,
      deliver_: (message) => this.#routes.emit_(message.route, message.data, message),
    };
  }

  /** How it is with the connection: a store. */
  get state(): Readable<State> {
    return this.#connection.state;
  }

  /** Connects, and comes back until {@link close}. */
  connect(): this {
    this.#connection.connect();
    return this;
  }

  /** Tries at once where it waits for the next attempt. */
  retry(): void {
    this.#connection.retry();
  }

  /** Ends the connection, and what waits for it. Rooms are joined again after the next `connect()`. */
  close(): void {
    this.#connection.close();
  }

  /**
   * Asks the server. Rejects with a `RequestError` where it answers with one, with `ConnectionLost`
   * or `Timeout` where there is no answer, and with the reason of `signal` where that is aborted.
   *
   * ```ts
   * const price = await client.request("price", { of: "tea" }, { timeout: 5_000 });
   * ```
   */
  request<K extends Asks<R>>(
    route: K,
    ...[data, options]: undefined extends Of<R, K, "request">
      ? [data?: Of<R, K, "request">, options?: AskOptions]
      : [data: Of<R, K, "request">, options?: AskOptions]
  ): Promise<Of<R, K, "reply">> {
    return this.#connection.request(route, data, options) as Promise<Of<R, K, "reply">>;
  }

  /** Sends without an answer. False if that can neither be sent now nor wait to be. */
  send<K extends Asks<R>>(
    route: K,
    ...[data]: undefined extends Of<R, K, "request">
      ? [data?: Of<R, K, "request">]
      : [data: Of<R, K, "request">]
  ): boolean {
    return this.#connection.post_(route, data);
  }

  /**
   * Hears the messages on a route, in whatever room or in none. The server's own are there, too:
   * `gap`, `expiring`, `removed`, and `error` for what was sent without an id. Returns what ends it.
   */
  on<K extends Name<R, "event"> | "gap" | "expiring" | "removed" | "error">(
    route: K,
    listener: K extends Name<R, "event">
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
  handle<K extends Name<R, "question" | "answer">>(
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
    const known = this.#rooms.get(name);
    if (known) return known;
    this.#rooms.tidy_();
    const room = new Room<R>(name, this.#host);
    this.#rooms.keep_(room);
    return room;
  }

  #receive(frame: unknown): void {
    let message: Envelope;
    try {
      message = opened(Object(JSON.parse(frame as string)));
    } catch (error) {
      return report(error);
    }
    const { id, request, route, data, room } = message;
    if (id !== undefined) {
      if (id !== PING_ID) this.#connection.outbox_.answer_(id, route, data);
    } else if (request !== undefined) {
      this.#answer(request, message);
    } else if (room !== undefined) {
      const known = this.#rooms.get(room);
      if (known) known.receive_(message);
      else this.#routes.emit_(route, data, message);
    } else {
      this.#heed(route, data);
      this.#routes.emit_(route, data, message);
    }
  }

  /** What the server says of this session. */
  #heed(route: string, data: unknown): void {
    if (route === "expiring") this.#connection.renew_("expiring");
    if (route === "removed") this.#rooms.get(Object(data).room)?.removed_();
    if (route === "gap") this.#rooms.gap_(Object(Object(data).rooms));
  }

  /** Answers a request of the server, on the connection on which it came. */
  async #answer(request: string, message: Envelope): Promise<void> {
    const { link_: link } = this.#connection;
    const frame = await this.#answers.to(request, message);
    // A server that asks and doesn't read waits for its time.
    if (link === this.#connection.link_ && !this.#connection.isStuck_()) link?.send_(frame);
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
