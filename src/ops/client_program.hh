#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/child.hh"
#include "base/file.hh"
#include "base/io.hh"
#include "base/run.hh"

namespace seawall::ops {

/// One of PostgreSQL's client programs (pg_dump, psql), with one end of a pipe to or from it. It gets this process's
/// environment; what it says on stderr goes into the log, line by line, and the last line into the Error if it fails.
/// Destruction without finish() ends it, before it can take a closed pipe for the end of its input. One thread.
/// Errors: not_found (no such program), db (it failed), cancelled (`run.stop`; noticed within 100 ms).
class ClientProgram final : public Source, public Sink {
 public:
  enum class Pipe { its_output, its_input };

  /// `arguments[0]` is the program: a path, or a name that is looked for in PATH.
  ClientProgram(std::vector<std::string> arguments, Pipe pipe, const Run& run);
  ~ClientProgram() override;
  ClientProgram(const ClientProgram&) = delete;
  ClientProgram& operator=(const ClientProgram&) = delete;

  /// Of its_output. 0: it closed its output; only finish() tells whether that was the end of what it had to say.
  std::size_t read(MutableBytes into) override;
  /// Of its_input.
  void write(Bytes data) override;
  /// Ends the input, if it has one, and waits. Errc::db unless its exit status is 0.
  void finish();

 private:
  void start(const std::vector<std::string>& arguments, const Fd& pipe_end, const Fd& messages_end);
  void wait_for_pipe(short events);
  /// True: there may be more.
  bool read_messages();
  void take_lines();
  [[noreturn]] void fail(int status);

  const std::string name_;  // of the program, without its directory
  const Pipe direction_;
  const Run run_;
  std::unique_ptr<Child> child_;
  Fd pipe_;
  Fd messages_;
  std::string line_;       // the beginning of one
  std::string last_line_;  // the last whole one
};

}  // namespace seawall::ops
