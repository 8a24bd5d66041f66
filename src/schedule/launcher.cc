#include "schedule/launcher.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>

#include "base/child.hh"
#include "base/text.hh"

namespace seawall::schedule {
namespace {

namespace fs = std::filesystem;

/// A program that writes without line breaks is passed on in pieces of this size.
constexpr std::size_t longest_line = 8192;

std::string log_path(const Job& job, const std::string& stamp, std::string_view ending) {
  std::string name = fmt::format("{}_{}.{}", stamp, job.name, ending);
  std::replace(name.begin(), name.end(), '/', '_');
  return (fs::path(job.save_folder) / name).native();
}

/// One output of a command: to a stream of ours, and to a file if there is one.
class Outlet {
 public:
  Outlet(int to, std::optional<Fd> file) : to_(to), file_(std::move(file)) {}

  int fd() const { return pipe_.write_end.get(); }
  void started() { pipe_.write_end.close(); }
  void pass_on(bool ended) {
    read_available(pipe_.read_end, pending_);
    std::size_t end = pending_.rfind('\n');
    end = end == std::string::npos ? 0 : end + 1;
    if (ended || pending_.size() - end > longest_line) end = pending_.size();
    if (end == 0) return;
    const std::string_view lines = std::string_view(pending_).substr(0, end);
    remember(lines);
    [[maybe_unused]] const auto written = ::write(to_, lines.data(), lines.size());
    if (file_) write_all(*file_, std::as_bytes(std::span(lines)), "the job's log");
    pending_.erase(0, end);
  }
  const std::string& last_line() const noexcept { return last_; }

 private:
  void remember(std::string_view lines) {
    const std::string_view whole = trim(lines);
    if (whole.empty()) return;
    const std::size_t from = whole.rfind('\n');
    last_ = whole.substr(from == std::string_view::npos ? 0 : from + 1).substr(0, 500);
  }

  int to_;
  std::optional<Fd> file_;
  Pipe pipe_;
  std::string pending_;
  std::string last_;
};

class Process final : public RunningStep {
 public:
  Process(const Job& job, const Step& step, const std::string& stamp, int kept_open)
      : output_(STDOUT_FILENO, log(job, stamp, "stdout.log")), errors_(STDERR_FILENO, log(job, stamp, "stderr.log")) {
    ChildRequest request{.arguments = step.words,
                         .program = step.program,
                         .environment = job.environment,
                         .directory = job.directory,
                         .output = output_.fd(),
                         .errors = errors_.fd(),
                         .kept_open = kept_open,
                         .signal_when_orphaned = SIGTERM};
    child_ = std::make_unique<Child>(request);
    output_.started();
    errors_.started();
  }

  std::optional<int> poll() override {
    const std::optional<int> status = child_->try_wait();
    output_.pass_on(status.has_value());
    errors_.pass_on(status.has_value());
    return status;
  }
  void ask_to_stop() override { child_->signal(SIGTERM); }
  std::string last_line() const override {
    return errors_.last_line().empty() ? output_.last_line() : errors_.last_line();
  }

 private:
  static std::optional<Fd> log(const Job& job, const std::string& stamp, std::string_view ending) {
    if (job.save_folder.empty()) return std::nullopt;
    std::error_code failure;
    fs::create_directories(job.save_folder, failure);
    if (failure) throw system_error(failure.value(), job.save_folder);
    return open_file(log_path(job, stamp, ending), O_WRONLY | O_APPEND | O_CREAT, 0640);
  }

  Outlet output_;
  Outlet errors_;
  std::unique_ptr<Child> child_;
};

class ProcessLauncher final : public Launcher {
 public:
  explicit ProcessLauncher(int kept_open) : kept_open_(kept_open) {}

  std::unique_ptr<RunningStep> start(const Job& job, std::size_t step, const std::string& stamp) override {
    return std::make_unique<Process>(job, job.steps.at(step), stamp, kept_open_);
  }
  void finish(const Job& job, const std::string& stamp, bool ok) override {
    if (job.save_folder.empty() || !ok || !job.save_only_on_error) return;
    for (const std::string_view ending : {"stdout.log", "stderr.log"}) ::unlink(log_path(job, stamp, ending).c_str());
  }

 private:
  int kept_open_;
};

}  // namespace

std::unique_ptr<Launcher> process_launcher(int kept_open) { return std::make_unique<ProcessLauncher>(kept_open); }

}  // namespace seawall::schedule
