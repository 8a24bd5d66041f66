#include "base/progress.hh"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "base/detail/put_line.hh"
#include "base/text.hh"

namespace seawall {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds redraw_interval{250};
constexpr std::chrono::seconds log_interval{30};

// The rate follows the last seconds, so that the time left answers to a slow disk or a full network soon.
constexpr double rate_memory_seconds = 5;

double seconds_between(steady_clock::time_point from, steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

std::string bytes_text(double bytes) { return human_bytes(static_cast<std::uint64_t>(std::max(bytes, 0.0))); }

std::string span_text(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::min(std::ceil(seconds), 1e9));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

class Meter final : public Progress {
 public:
  Meter(int fd, Log& log, Clock& clock) : fd_(fd), terminal_(::isatty(fd) == 1), log_(log), clock_(clock) {}
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;
  ~Meter() override {
    if (!stop_thread() || !terminal_) return;
    // The work failed: what was reached stays readable above the message to come.
    detail::put_line(fd_, bar() + "\x1b[K\n");
  }

  void phase(std::string_view name, std::optional<std::uint64_t> total_bytes) override {
    done();
    name_ = name;
    total_ = total_bytes;
    bytes_.store(0, std::memory_order_relaxed);
    started_ = measured_ = clock_.steady();
    measured_bytes_ = 0;
    rate_.reset();
    thread_ = std::jthread([this](std::stop_token stop) { report(stop); });
  }

  void advance(std::uint64_t bytes) noexcept override { bytes_.fetch_add(bytes, std::memory_order_relaxed); }

  void done() override {
    if (!stop_thread()) return;
    const auto now = clock_.steady();
    const double elapsed = seconds_between(started_, now);
    const auto bytes = bytes_.load(std::memory_order_relaxed);
    std::string line = fmt::format("{}: {} in {}", name_, human_bytes(bytes), span_text(elapsed));
    if (elapsed > 0) line += fmt::format(", {}/s", bytes_text(static_cast<double>(bytes) / elapsed));
    if (terminal_) {
      detail::put_line(fd_, line + "\x1b[K\n");
    } else if (now - started_ >= log_interval) {
      log_.info("{}", line);
    }
  }

 private:
  /// False if no phase is under way.
  bool stop_thread() {
    if (!thread_.joinable()) return false;
    thread_.request_stop();
    thread_.join();
    return true;
  }

  void report(std::stop_token stop) {
    const std::chrono::nanoseconds interval = terminal_ ? std::chrono::nanoseconds(redraw_interval) : log_interval;
    while (clock_.sleep(interval, stop)) {
      measure(clock_.steady());
      if (terminal_) {
        // The cursor goes back to the start of the line, where a log line may overwrite the bar.
        detail::put_line(fd_, bar() + "\x1b[K\r");
      } else {
        log_.info("{}: {}", name_, status());
      }
    }
  }

  void measure(steady_clock::time_point now) {
    const double elapsed = seconds_between(measured_, now);
    if (elapsed <= 0) return;
    const auto bytes = bytes_.load(std::memory_order_relaxed);
    const double latest = static_cast<double>(bytes - measured_bytes_) / elapsed;
    const double weight = rate_ ? 1 - std::exp(-elapsed / rate_memory_seconds) : 1;
    rate_ = rate_.value_or(0) * (1 - weight) + latest * weight;
    measured_ = now;
    measured_bytes_ = bytes;
  }

  /// "1.2 GiB of 4.0 GiB (30 %), 210 MiB/s, 13 s left", as far as it is known.
  std::string status() const {
    const auto bytes = bytes_.load(std::memory_order_relaxed);
    std::string text = human_bytes(bytes);
    if (total_) text += fmt::format(" of {} ({:.0f} %)", human_bytes(*total_), std::floor(100 * share(bytes)));
    if (rate_) text += fmt::format(", {}/s", bytes_text(*rate_));
    if (rate_ && *rate_ >= 1 && total_ && bytes < *total_) {
      text += fmt::format(", {} left", span_text(static_cast<double>(*total_ - bytes) / *rate_));
    }
    return text;
  }

  /// Between 0 and 1; the total may be an estimate that is exceeded.
  double share(std::uint64_t bytes) const {
    if (!total_ || *total_ == 0) return 1;
    return std::min(1.0, static_cast<double>(bytes) / static_cast<double>(*total_));
  }

  /// One line that does not wrap: a wrapped line could not be redrawn.
  std::string bar() const {
    winsize window{};
    const bool known = ::ioctl(fd_, TIOCGWINSZ, &window) == 0 && window.ws_col > 0;
    const std::size_t columns = (known ? window.ws_col : std::size_t{80}) - 1;
    const std::string text = status();
    std::string line = fmt::format("{} ", name_);
    const std::size_t taken = line.size() + text.size() + 3;
    if (total_ && columns >= taken + 10) {
      const std::size_t width = std::min(columns - taken, std::size_t{40});
      const double filled = share(bytes_.load(std::memory_order_relaxed)) * static_cast<double>(width);
      line += fmt::format("[{:<{}}] ", std::string(static_cast<std::size_t>(filled), '#'), width);
    }
    line += text;
    line.resize(std::min(line.size(), columns));
    return line;
  }

  const int fd_;
  const bool terminal_;
  Log& log_;
  Clock& clock_;

  // Written by phase() while no thread runs.
  std::string name_;
  std::optional<std::uint64_t> total_;
  steady_clock::time_point started_;

  // The reporting thread's own while it runs.
  steady_clock::time_point measured_;
  std::uint64_t measured_bytes_ = 0;
  std::optional<double> rate_;

  // On a cache line of its own: every worker adds to it.
  alignas(64) std::atomic<std::uint64_t> bytes_ = 0;
  alignas(64) std::jthread thread_;
};

}  // namespace

std::unique_ptr<Progress> make_progress(int fd, Log& log, Clock& clock) {
  return std::make_unique<Meter>(fd, log, clock);
}

}  // namespace seawall
