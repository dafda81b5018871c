// Node's `ws`: `b…` goes to everybody, `e…` back to its sender.
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  // What the others have.
  backlog: 4096,
  perMessageDeflate: false,
}, () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
server.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("message", (data) => {
    if (data[0] === 0x65) socket.send(data, { binary: false });
    else for (const client of server.clients) client.send(data, { binary: false });
  });
});
