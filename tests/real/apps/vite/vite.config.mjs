// Vite as it comes, and a plugin that says when it watches its files, and counts its connections:
// /connections has how many there were at most at a time, and in all.

const count = (server) => {
  const seen = { now: 0, most: 0, all: 0 };
  server.httpServer.on("connection", (socket) => {
    seen.all++;
    seen.most = Math.max(seen.most, ++seen.now);
    socket.on("close", () => seen.now--);
  });
  server.middlewares.use("/connections", (request, response) => response.end(JSON.stringify(seen)));
};

const announce = async (server) => {
  await Promise.all([
    new Promise((resolve) => server.watcher.once("ready", resolve)),
    new Promise((resolve) => server.httpServer.once("listening", resolve)),
  ]);
  console.log(`watching, on port ${server.httpServer.address().port}`);
};

export default {
  cacheDir: "cache",
  plugins: [
    {
      name: "tests",
      configureServer(server) {
        count(server);
        announce(server);
      },
    },
  ],
};
