#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/work.hh"

namespace seawall::ops {

/// Small documents, read by several threads in the order in which they will be asked for, never more than `ahead` of
/// them before their turn. One thread asks.
class ReadAhead {
 public:
  using Read = std::function<std::optional<std::string>(const std::string& name, std::stop_token stop)>;

  /// `read` is called from any thread; what it throws is thrown by take() of that document.
  ReadAhead(std::vector<std::string> names, unsigned threads, unsigned ahead, Read read, std::stop_token stop);
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  /// Waits for it; one that was not announced, or that was taken already, is read here and now.
  std::optional<std::string> take(const std::string& name);

 private:
  struct Slot {
    bool done = false;
    std::optional<std::string> text;
    std::exception_ptr failure;
  };

  void work(const std::stop_token& stop);

  const std::vector<std::string> names_;
  const unsigned ahead_;
  const Read read_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, std::size_t, std::less<>> at_;
  std::vector<Slot> slots_;
  std::size_t next_ = 0;   // to be read
  std::size_t taken_ = 0;  // everything before was asked for
  std::stop_token stop_;
  WorkerGroup workers_;  // last: they end before what they use
};

}  // namespace seawall::ops
