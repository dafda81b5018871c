// socket.io: the event `b` goes to everybody, `e` back to its sender.
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const server = createServer();
const io = new Server(server, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });
io.on("connection", (socket) => {
  socket.on("b", (data) => io.emit("b", data));
  socket.on("e", (data) => socket.emit("e", data));
});
// With the backlog that the others have.
server.listen(0, "127.0.0.1", 4096, () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
