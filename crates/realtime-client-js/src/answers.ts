// What this client answers to the server's own requests.

import { packed } from "./bytes.js";
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
      return JSON.stringify({ reply: request, ...packed(data) });
    } catch (error) {
      return refusal(request, error);
    }
  }
}

function refusal(request: string, error: unknown): string {
  try {
    if (!(error instanceof RequestError)) throw error;
    const { code, message, temporary, data } = error;
    return JSON.stringify({ reply: request, error: { code, message, temporary, data } });
  } catch (mistake) {
    // Of the handler's, or data that has no form in JSON.
    report(mistake);
    return refusal(request, new RequestError({ code: "internal" }));
  }
}
