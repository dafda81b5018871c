// What this client answers to the server's own requests.

import { RequestError } from "./errors.js";
import { report } from "./listeners.js";
import type { Message } from "./routes.js";

export type Handler = (data: never, message: Message<never>) => unknown;

export class Answers {
  readonly #handlers = new Map<string, Handler>();

  /** The last one of a route counts. Returns what removes it. */
  add(route: string, handler: Handler): () => void {
    this.#handlers.set(route, handler);
    return () => {
      if (this.#handlers.get(route) === handler) this.#handlers.delete(route);
    };
  }

  /** The frame that answers a request. What a handler throws by mistake is told to nobody else. */
  async to(request: string, message: Message): Promise<string> {
    try {
      const handler = this.#handlers.get(message.route);
      if (!handler) throw new RequestError({ code: "unknown_route" });
      const data = await handler(message.data as never, message as Message<never>);
      return JSON.stringify({ reply: request, data });
    } catch (error) {
      const isMeant = error instanceof RequestError;
      if (!isMeant) report(error);
      const failure = isMeant ? error : new RequestError({ code: "internal" });
      const { code, message, temporary, data } = failure;
      return JSON.stringify({ reply: request, error: { code, message, temporary, data } });
    }
  }
}
