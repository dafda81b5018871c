// java.net.http.HttpClient, the WebSocket client of the JDK.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.net.http.WebSocketHandshakeException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A connection, and what came on it. */
class Peer implements WebSocket.Listener {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();
    private final StringBuilder unfinished = new StringBuilder();
    final BlockingQueue<String> received = new LinkedBlockingQueue<>();
    final BlockingQueue<String> pongs = new LinkedBlockingQueue<>();
    final CompletableFuture<String> ended = new CompletableFuture<>();
    final WebSocket socket;

    Peer(String url, String token, Map<String, String> headers) {
        var builder = CLIENT.newWebSocketBuilder();
        headers.forEach(builder::header);
        if (token == null) builder.subprotocols("realtime.json");
        else builder.subprotocols("realtime.json", "token." + token);
        socket = builder.buildAsync(URI.create(url), this).join();
    }

    Peer(String url) {
        this(url, null, Map.of());
    }

    @Override
    public CompletionStage<?> onText(WebSocket socket, CharSequence data, boolean last) {
        unfinished.append(data);
        if (last) {
            received.add(unfinished.toString());
            unfinished.setLength(0);
        }
        socket.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onPong(WebSocket socket, ByteBuffer payload) {
        pongs.add(java.nio.charset.StandardCharsets.UTF_8.decode(payload).toString());
        socket.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
        ended.complete("{\"code\":%d,\"reason\":%s}".formatted(code, Java.quoted(reason)));
        return null; // It answers with the same code.
    }

    @Override
    public void onError(WebSocket socket, Throwable error) {
        ended.completeExceptionally(error);
    }

    void tell(String message) {
        socket.sendText(message, true).join();
    }

    String next() throws Exception {
        var message = received.poll(30, TimeUnit.SECONDS);
        if (message == null) throw new IllegalStateException("nothing for 30 s");
        return message;
    }

    /** What stands behind this field in the answer: there is no JSON parser in the JDK. */
    String request(String route, String data, String field) throws Exception {
        tell("{\"id\":\"1\",\"route\":\"%s\",\"data\":%s}".formatted(route, data));
        return field(next(), field);
    }

    static String field(String message, String field) {
        var at = message.replace(": ", ":").split("\"" + field + "\":\"", 2);
        return at[1].substring(0, at[1].indexOf('"'));
    }

    String ended() throws Exception {
        return ended.get(30, TimeUnit.SECONDS);
    }
}

public class Java {
    static String quoted(String text) {
        return '"' + text.replace("\"", "\\\"") + '"';
    }

    static String upgrade(String url) throws Exception {
        var peer = new Peer(url);
        var echo = peer.request("echo", "\"hello \u2603\"", "data").replace("\\u2603", "\u2603");
        return "{\"protocol\":%s,\"echo\":%s}"
            .formatted(quoted(peer.socket.getSubprotocol()), quoted(echo));
    }

    static String large(String url) throws Exception {
        var peer = new Peer(url);
        var million = peer.request("echo", quoted("x".repeat(1_000_000)), "data");
        var sixteen = peer.request("echo", quoted("x".repeat(16_000_000)), "data");
        return "[%d,%d]".formatted(million.length(), sixteen.length());
    }

    static String tooLarge(String url) throws Exception {
        var peer = new Peer(url);
        var data = quoted("x".repeat(18_000_000));
        peer.socket.sendText("{\"route\":\"echo\",\"data\":" + data + "}", true);
        return peer.ended();
    }

    static String fragments(String url) throws Exception {
        var peer = new Peer(url);
        peer.socket.sendText("{\"id\":\"1\",\"route\":\"echo\",", false).join();
        peer.socket.sendText("\"data\":\"in th", false).join();
        peer.socket.sendPing(ByteBuffer.allocate(0)).join();
        peer.socket.sendText("ree parts\"}", true).join();
        return quoted(Peer.field(peer.next(), "data"));
    }

    static String pushes(String url) throws Exception {
        var peer = new Peer(url);
        peer.tell("{\"route\":\"push\",\"data\":100}");
        int inOrder = 0;
        while (inOrder < 100 && peer.next().replace(" ", "").endsWith(":" + inOrder + "}")) {
            inOrder++;
        }
        return String.valueOf(inOrder);
    }

    static String idle(String url) throws Exception {
        var peer = new Peer(url);
        Thread.sleep(4000);
        return quoted(peer.request("echo", "\"still here\"", "data"));
    }

    static String ping(String url) throws Exception {
        var peer = new Peer(url);
        peer.socket.sendPing(ByteBuffer.wrap("are you there".getBytes())).join();
        return quoted(peer.pongs.poll(30, TimeUnit.SECONDS));
    }

    static String serverClose(String url) throws Exception {
        var peer = new Peer(url);
        peer.tell("{\"route\":\"close\",\"data\":{\"code\":4003,\"reason\":\"not today\"}}");
        return peer.ended();
    }

    static String clientClose(String url) throws Exception {
        var first = new Peer(url);
        first.socket.sendClose(1000, "").join();
        var second = new Peer(url);
        second.socket.sendClose(4001, "bye").join();
        return "[%s,%s]".formatted(first.ended(), second.ended());
    }

    static String lastWords(String url) throws Exception {
        var peer = new Peer(url);
        for (int number = 0; number < 40; number++) {
            peer.tell("{\"route\":\"note\",\"data\":" + number + "}");
        }
        peer.socket.sendClose(1000, "").join();
        return peer.ended();
    }

    static String identity(String url, String token, Map<String, String> headers)
            throws Exception {
        try {
            return quoted(new Peer(url, token, headers).request("who", "null", "identity"));
        } catch (CompletionException e) {
            if (e.getCause() instanceof WebSocketHandshakeException refused) {
                return String.valueOf(refused.getResponse().statusCode());
            }
            throw e;
        }
    }

    static String tokens(String url) throws Exception {
        var at = url + "/private";
        return ("{\"wrong\":%s,\"query\":%s,\"subprotocol\":%s,"
            + "\"header\":%s,\"cookie\":%s}").formatted(
            identity(at + "?token=wrong", null, Map.of()),
            identity(at + "?token=let-me-in", null, Map.of()),
            identity(at, "let-me-in", Map.of()),
            identity(at, null, Map.of("Authorization", "Bearer let-me-in")),
            identity(at, null, Map.of("Cookie", "token=let-me-in")));
    }

    static String address(String url) throws Exception {
        return quoted(new Peer(url).request("who", "null", "address"));
    }

    static String shutdown(String url) throws Exception {
        var peer = new Peer(url);
        System.out.println("{\"ready\":\"shutdown\"}");
        return peer.ended();
    }

    static String saw(String name, String url) throws Exception {
        return switch (name) {
            case "upgrade" -> upgrade(url);
            case "large" -> large(url);
            case "too-large" -> tooLarge(url);
            case "fragments" -> fragments(url);
            case "pushes" -> pushes(url);
            case "idle" -> idle(url);
            case "ping" -> ping(url);
            case "server-close" -> serverClose(url);
            case "client-close" -> clientClose(url);
            case "last-words" -> lastWords(url);
            case "tokens" -> tokens(url);
            case "address" -> address(url);
            case "shutdown" -> shutdown(url);
            default -> null;
        };
    }

    public static void main(String[] arguments) {
        for (int i = 1; i < arguments.length; i++) {
            var line = "{\"case\":\"%s\",".formatted(arguments[i]);
            try {
                var saw = saw(arguments[i], arguments[0]);
                line += saw == null ? "\"unable\":true}" : "\"saw\":" + saw + "}";
            } catch (Exception e) {
                line += "\"error\":" + quoted(e.toString()) + "}";
            }
            System.out.println(line);
        }
        System.out.println("{\"done\":true}");
        System.exit(0); // The client's threads would stay.
    }
}
