import { defineConfig } from "vite";

export default defineConfig({
    server: {
        port: 5173,
        proxy: {
            // With `changeOrigin: true` every page is of another origin: leave it out.
            "/ws": { target: "http://127.0.0.1:8080", ws: true, xfwd: true },
        },
    },
});
