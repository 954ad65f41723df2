// PM2, where there is no systemd:   pm2 start deploy/ecosystem.config.cjs && pm2 save
const path = require("node:path");

const home = process.env.TRADINGD_HOME || path.resolve(__dirname, "..");

module.exports = {
  apps: [
    {
      name: "tradingd",
      cwd: home,
      script: path.join(home, ".venv", "bin", "tradingd"),
      args: ["run", "--log", "json"],
      interpreter: "none",
      exec_mode: "fork",
      instances: 1, // never two daemons on one data directory: the second refuses
      autorestart: true,
      stop_exit_codes: [0, 3, 8], // ended on purpose; a setting is wrong; another daemon runs
      restart_delay: 2000,
      min_uptime: 10000,
      max_restarts: 1000000, // never given up: positions may be open
      kill_timeout: 25000, // an orderly end takes up to 20 s
      treekill: false, // the daemon ends its practice exchange itself, in order
      time: false, // every line carries its own time
      merge_logs: true,
      env: { PYTHONUNBUFFERED: "1" },
    },
  ],
};
