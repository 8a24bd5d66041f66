#pragma once

#include <fmt/format.h>
#include <rapidjson/error/en.h>
#include <rapidjson/reader.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "base/io.hh"

namespace seawall::archive {

/// A Source as RapidJSON's input, in pieces of 64 KiB. As in its own streams, '\0' stands for the end.
class JsonStream {
 public:
  using Ch = char;
  explicit JsonStream(Source& from) : from_(from), buffer_(std::make_unique<char[]>(piece_bytes + 1)) { refill(); }

  char Peek() const { return *at_; }
  char Take() {
    const char c = *at_;
    if (at_ != end_ && ++at_ == end_) refill();
    return c;
  }
  std::size_t Tell() const { return before_ + static_cast<std::size_t>(at_ - buffer_.get()); }
  bool at_end() const { return at_ == end_; }

  // Demanded by the concept, for parsing in place only.
  char* PutBegin() { return nullptr; }
  void Put(char) {}
  void Flush() {}
  std::size_t PutEnd(char*) { return 0; }

 private:
  static constexpr std::size_t piece_bytes = std::size_t{64} << 10;

  void refill() {
    if (end_ != nullptr) before_ += static_cast<std::size_t>(end_ - buffer_.get());
    const std::size_t n = from_.read(std::as_writable_bytes(std::span(buffer_.get(), piece_bytes)));
    at_ = buffer_.get();
    end_ = at_ + n;
    *end_ = '\0';
  }

  Source& from_;
  std::unique_ptr<char[]> buffer_;
  char* at_ = nullptr;
  char* end_ = nullptr;
  std::size_t before_ = 0;  ///< bytes in earlier pieces
};

/// Base of handlers for documents that are read as a stream: it keeps the depth, skips values that nobody wants and
/// limits nesting. Derived gives on_key, on_null, on_bool, on_number (as written), on_text, on_begin(is_object) and
/// on_end, which are called for wanted values only and return false after setting `failure`.
template <class Derived>
class JsonEvents {
 public:
  std::string failure;  ///< set by a handler that returned false

  bool Null() {
    return scalar([&] { return self().on_null(); });
  }
  bool Bool(bool truth) {
    return scalar([&] { return self().on_bool(truth); });
  }
  bool RawNumber(const char* text, rapidjson::SizeType bytes, bool) {
    return scalar([&] { return self().on_number({text, bytes}); });
  }
  bool String(const char* text, rapidjson::SizeType bytes, bool) {
    return scalar([&] { return self().on_text({text, bytes}); });
  }
  bool Key(const char* text, rapidjson::SizeType bytes, bool) {
    return skipped_at_ != 0 || self().on_key({text, bytes});
  }
  bool StartObject() { return begin(true); }
  bool StartArray() { return begin(false); }
  bool EndObject(rapidjson::SizeType) { return end(); }
  bool EndArray(rapidjson::SizeType) { return end(); }

  // Numbers always come as written.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(std::int64_t) { return false; }
  bool Uint64(std::uint64_t) { return false; }
  bool Double(double) { return false; }

 protected:
  /// Containers that are open: 1 within the document's own object.
  unsigned depth() const { return depth_; }
  /// The value of the key just seen is of no interest. Only from on_key.
  bool skip_value() {
    skipped_at_ = depth_;
    return true;
  }
  bool fail(std::string what) {
    failure = std::move(what);
    return false;
  }

 private:
  static constexpr unsigned max_depth = 1000;
  Derived& self() { return static_cast<Derived&>(*this); }

  template <class Visit>
  bool scalar(Visit visit) {
    if (skipped_at_ == 0) return visit();
    if (depth_ == skipped_at_) skipped_at_ = 0;
    return true;
  }
  bool begin(bool is_object) {
    if (++depth_ > max_depth) return fail("nested too deeply");
    return skipped_at_ != 0 || self().on_begin(is_object);
  }
  bool end() {
    --depth_;
    if (skipped_at_ == 0) return self().on_end();
    if (depth_ == skipped_at_) skipped_at_ = 0;
    return true;
  }

  unsigned depth_ = 0;
  unsigned skipped_at_ = 0;  ///< depth of the key whose value is passed over
};

/// Reads the whole Source. Errc::corrupt naming `origin` and the byte, unless the handler or the Source throws.
template <class Handler>
void parse_json_stream(Source& from, Handler& handler, std::string_view origin) {
  JsonStream stream(from);
  rapidjson::Reader reader;
  // Iterative: nesting must not use up the machine's stack.
  constexpr unsigned flags = rapidjson::kParseNumbersAsStringsFlag | rapidjson::kParseIterativeFlag;
  const rapidjson::ParseResult result = reader.Parse<flags>(stream, handler);
  if (result.IsError()) {
    const bool ours = result.Code() == rapidjson::kParseErrorTermination;
    throw Error(Errc::corrupt, fmt::format("{}: at byte {}: {}", origin, ours ? stream.Tell() : result.Offset(),
                                           ours ? handler.failure : rapidjson::GetParseError_En(result.Code())));
  }
  if (!stream.at_end()) throw Error(Errc::corrupt, fmt::format("{}: at byte {}: a NUL byte", origin, stream.Tell()));
}

}  // namespace seawall::archive
