#include "crypto/openpgp/packet.hh"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace seawall::crypto::openpgp {

void malformed(std::string_view cause) { refuse(Errc::corrupt, cause); }

void refuse(Errc code, std::string_view cause) { throw Refused(code, std::string(cause)); }

Bytes Reader::take(std::size_t n) {
  if (n > rest_.size()) malformed("an OpenPGP packet ends too early");
  const Bytes taken = rest_.first(n);
  rest_ = rest_.subspan(n);
  return taken;
}

std::uint64_t Reader::big_endian(std::size_t bytes) {
  std::uint64_t value = 0;
  for (const std::byte byte : take(bytes)) value = value << 8 | std::to_integer<std::uint64_t>(byte);
  return value;
}

Bytes Reader::number() {
  const std::uint64_t bits = big_endian(2);
  Bytes value = take(static_cast<std::size_t>((bits + 7) / 8));
  while (!value.empty() && value.front() == std::byte{0}) value = value.subspan(1);
  return value;
}

PacketSplitter::Item PacketSplitter::next(Bytes& data) {
  for (;;) {
    if (state_ == State::begin) {
      state_ = State::body;
      return {What::begin, {}};
    }
    if (state_ == State::body && left_ == 0 && !to_the_end_) {
      state_ = State::tag;
      return {What::end, {}};
    }
    if (data.empty()) return {};
    if (state_ == State::body) {
      const auto n = to_the_end_ ? data.size() : static_cast<std::size_t>(std::min<std::uint64_t>(left_, data.size()));
      const Bytes part = data.first(n);
      data = data.subspan(n);
      if (!to_the_end_) left_ -= n;
      if (left_ == 0 && partial_) {
        state_ = State::length;
        field_bytes_ = 0;
      }
      return {What::body, part};
    }
    const auto byte = std::to_integer<unsigned>(data.front());
    data = data.subspan(1);
    if (state_ == State::tag) {
      read_tag(byte);
    } else {
      read_length(byte);
    }
  }
}

void PacketSplitter::read_tag(unsigned byte) {
  if ((byte & 0x80) == 0) malformed("no OpenPGP packet begins where one should");
  new_format_ = (byte & 0x40) != 0;
  tag_ = static_cast<Tag>(new_format_ ? byte & 0x3F : byte >> 2 & 0x0F);
  if (tag_ == Tag{0}) malformed("an OpenPGP packet has the reserved type 0");
  begun_ = partial_ = to_the_end_ = false;
  field_ = 0;
  field_bytes_ = 0;
  base_ = 0;
  state_ = State::length;
  if (new_format_) return;
  const unsigned kind = byte & 3;
  if (kind < 3) {
    field_bytes_ = 1U << kind;
    return;
  }
  to_the_end_ = true;
  state_ = State::begin;
}

void PacketSplitter::read_length(unsigned byte) {
  if (field_bytes_ > 0) {
    field_ = field_ << 8 | byte;
    if (--field_bytes_ == 0) set_length(field_ + base_);
    return;
  }
  // The first byte of a length in the new format.
  partial_ = false;
  base_ = 0;
  if (byte < 192) return set_length(byte);
  if (byte < 224) {
    field_ = byte - 192;
    field_bytes_ = 1;
    base_ = 192;
  } else if (byte == 255) {
    field_ = 0;
    field_bytes_ = 4;
  } else {
    const bool may_be_partial = tag_ == Tag::compressed || tag_ == Tag::unprotected || tag_ == Tag::literal ||
                                tag_ == Tag::protected_v1 || tag_ == Tag::aead;
    if (!may_be_partial) malformed("an OpenPGP packet of known size says that its size is not known");
    partial_ = true;
    set_length(std::uint64_t{1} << (byte & 31));
  }
}

void PacketSplitter::set_length(std::uint64_t bytes) {
  left_ = bytes;
  state_ = begun_ ? State::body : State::begin;
  begun_ = true;
}

std::string packet_length(std::size_t bytes) {
  std::string out;
  if (bytes < 192) {
    out.push_back(static_cast<char>(bytes));
  } else if (bytes < 8384) {
    append_big_endian(out, bytes - 192 + (192U << 8), 2);
  } else {
    out.push_back(static_cast<char>(0xFF));
    append_big_endian(out, bytes, 4);
  }
  return out;
}

std::string packet_header(Tag tag, std::size_t bytes) {
  return static_cast<char>(0xC0U | static_cast<unsigned>(tag)) + packet_length(bytes);
}

std::byte partial_length(unsigned log2) noexcept { return static_cast<std::byte>(0xE0 | log2); }

void append_big_endian(std::string& out, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = bytes; i-- > 0;) out.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
}

void append_number(std::string& out, Bytes number) {
  while (!number.empty() && number.front() == std::byte{0}) number = number.subspan(1);
  const std::size_t bits =
      number.empty() ? 0
                     : number.size() * 8 -
                           static_cast<std::size_t>(std::countl_zero(std::to_integer<std::uint8_t>(number.front())));
  append_big_endian(out, bits, 2);
  out.append(text_of(number));
}

}  // namespace seawall::crypto::openpgp
