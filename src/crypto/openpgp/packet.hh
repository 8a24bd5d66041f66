#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hh"
#include "base/error.hh"

namespace seawall::crypto::openpgp {

/// The packet types that seawall knows (RFC 4880 §4.3; 20 is GnuPG's).
enum class Tag : unsigned {
  public_key_session = 1,  ///< a session key for one recipient
  signature = 2,
  password_session = 3,
  one_pass_signature = 4,
  secret_key = 5,
  public_key = 6,
  secret_subkey = 7,
  compressed = 8,
  unprotected = 9,  ///< encrypted, without MDC
  marker = 10,
  literal = 11,
  trust = 12,
  user_id = 13,
  public_subkey = 14,
  user_attribute = 17,
  protected_v1 = 18,  ///< encrypted, with MDC or (version 2) AEAD
  modification_check = 19,
  aead = 20,
  padding = 21,
};

/// Reads integers, in network order, from the front of bytes. What is missing is malformed().
class Reader {
 public:
  explicit Reader(Bytes data) noexcept : rest_(data) {}
  bool empty() const noexcept { return rest_.empty(); }
  Bytes rest() const noexcept { return rest_; }
  Bytes take(std::size_t n);
  unsigned byte() { return static_cast<unsigned>(big_endian(1)); }
  std::uint64_t big_endian(std::size_t bytes);
  /// A multi-precision integer without its length and leading zeros.
  Bytes number();

 private:
  Bytes rest_;
};

/// What is wrong with a message or a key, without its name: whoever knows that adds it.
class Refused final : public Error {
 public:
  using Error::Error;
};
/// Throws Refused with Errc::corrupt.
[[noreturn]] void malformed(std::string_view cause);
/// Throws Refused.
[[noreturn]] void refuse(Errc code, std::string_view cause);

/// Splits a stream into packets, whatever the pieces in which it comes: headers and lengths are taken out, bodies are
/// handed on where they lie. Errors are malformed().
class PacketSplitter {
 public:
  enum class What { more, begin, body, end };
  struct Item {
    What what = What::more;
    Bytes body = {};
  };

  /// Takes the next item from the front of `data`. `more`: all of `data` was used and nothing is complete.
  Item next(Bytes& data);
  /// Of the packet that began last.
  Tag tag() const noexcept { return tag_; }
  /// May the stream end here? Between two packets, or in one whose length is "to the end".
  bool may_end() const noexcept { return state_ == State::tag || (state_ == State::body && to_the_end_); }
  /// Did the packet that began last not end yet?
  bool in_packet() const noexcept { return state_ != State::tag; }

 private:
  enum class State { tag, length, begin, body };

  void read_tag(unsigned byte);
  void read_length(unsigned byte);
  void set_length(std::uint64_t bytes);

  State state_ = State::tag;
  Tag tag_ = Tag::marker;
  bool new_format_ = false;
  bool begun_ = false;       // this packet: a further part of it comes
  bool partial_ = false;     // another length follows this part
  bool to_the_end_ = false;  // old format: no length at all
  std::uint64_t field_ = 0;
  unsigned field_bytes_ = 0;  // still missing
  unsigned base_ = 0;         // lengths of two bytes begin where those of one byte end
  std::uint64_t left_ = 0;
};

/// "A packet of this many bytes begins", in the new format.
std::string packet_header(Tag tag, std::size_t bytes);
/// The length alone.
std::string packet_length(std::size_t bytes);
/// The one byte that says: a part of 2^log2 bytes, and another length after it.
std::byte partial_length(unsigned log2) noexcept;

void append_big_endian(std::string& out, std::uint64_t value, std::size_t bytes);
/// A multi-precision integer with its length; leading zeros are left out.
void append_number(std::string& out, Bytes number);

}  // namespace seawall::crypto::openpgp
