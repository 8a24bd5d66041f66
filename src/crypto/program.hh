#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hh"
#include "crypto/secret.hh"

namespace seawall::crypto {

/// Text that may hold a key; overwritten at the end.
class Output {
 public:
  Output() = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output() { wipe(std::as_writable_bytes(std::span(text_))); }

  void append(Bytes data) {
    // A string that grows by itself would leave copies behind.
    if (text_.size() + data.size() > text_.capacity()) {
      std::string larger;
      larger.reserve(2 * (text_.size() + data.size()));
      larger = text_;
      wipe(std::as_writable_bytes(std::span(text_)));
      text_.swap(larger);
    }
    text_.append(text_of(data));
  }
  std::string_view text() const noexcept { return text_; }

 private:
  std::string text_;
};

/// A program that ran. Not copied: it may hold a secret.
struct Finished {
  Output out;
  Output messages;
  int status = 0;
};

/// Starts `program`, found by PATH, with `arguments` behind its name, gives it `input` and waits for its end.
/// Errc::not_found if it cannot be started, config if it writes more than 16 MiB, io.
void run_program(const std::string& program, std::vector<std::string> arguments, std::string_view input,
                 Finished& result);

}  // namespace seawall::crypto
