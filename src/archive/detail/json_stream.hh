#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "base/io.hh"

namespace seawall::archive {

/// What a JSON document consists of, in order. The base keeps the depth, limits nesting to 1000, and passes over values
/// that nobody wants. Readers override the on_… functions; they are called for wanted values only, return true, or
/// fail() to refuse the document. Views end with the call.
class JsonEvents {
 public:
  virtual ~JsonEvents() = default;

  bool null() { return wanted_scalar() ? on_null() : true; }
  bool boolean(bool truth) { return wanted_scalar() ? on_bool(truth) : true; }
  bool number(std::string_view text) { return wanted_scalar() ? on_number(text) : true; }
  bool text(std::string_view text) { return wanted_scalar() ? on_text(text) : true; }
  bool key(std::string_view text) { return skipped_at_ != 0 || on_key(text); }
  bool begin(bool is_object);
  bool end();
  const std::string& failure() const { return failure_; }

 protected:
  virtual bool on_key(std::string_view key) = 0;
  virtual bool on_null() = 0;
  virtual bool on_bool(bool truth) = 0;
  virtual bool on_number(std::string_view text) = 0;  ///< as written: 64 bits must stay exact
  virtual bool on_text(std::string_view text) = 0;    ///< unescaped; UTF-8 is not checked
  virtual bool on_begin(bool is_object) = 0;
  virtual bool on_end() = 0;

  /// Containers that are open: 1 within the document's own object.
  unsigned depth() const { return depth_; }
  /// The value of the key just seen is of no interest. Only from on_key.
  bool skip_value() {
    skipped_at_ = depth_;
    return true;
  }
  bool fail(std::string what) {
    failure_ = std::move(what);
    return false;
  }

 private:
  bool wanted_scalar() {
    if (skipped_at_ == 0) return true;
    if (depth_ == skipped_at_) skipped_at_ = 0;
    return false;
  }

  unsigned depth_ = 0;
  unsigned skipped_at_ = 0;  ///< depth of the key whose value is passed over
  std::string failure_;
};

/// Reads one document (RFC 8259) and nothing behind it, in pieces of 64 KiB. Half a surrogate pair becomes U+FFFD, as
/// in Go. Throws Error(code) naming `origin` and the byte where it broke off, and what the Source throws.
void parse_json_stream(Source& from, JsonEvents& events, std::string_view origin, Errc code = Errc::corrupt);

}  // namespace seawall::archive
