// Binary data, which travels as base64 in JSON.

/** Data as it stands in an envelope. */
export interface Packed {
  data?: unknown;
  encoding?: string;
}

/** What stands for the data: bytes are a `Uint8Array`, and all else is as it is. */
export function packed(data: unknown): Packed {
  if (!(data instanceof Uint8Array)) return { data };
  let text = "";
  for (const byte of data) text += String.fromCharCode(byte);
  return { data: btoa(text), encoding: "base64" };
}

/** The same envelope with its bytes as such. Throws where they aren't base64. */
export function opened<M extends Packed>(message: M): M {
  if (message.encoding !== "base64") return message;
  const { encoding: _, ...others } = message;
  const data = Uint8Array.from(atob(String(message.data)), (char) => char.charCodeAt(0));
  return { ...others, data } as M;
}
