#include "base/io.hh"

#include <gtest/gtest.h>

#include <array>

#include "base/clock.hh"

namespace seawall {
namespace {

/// Gives one byte at a time.
class Trickle final : public Source {
 public:
  explicit Trickle(std::string text) : text_(std::move(text)) {}
  std::size_t read(MutableBytes into) override {
    if (at_ == text_.size()) return 0;
    into[0] = static_cast<std::byte>(text_[at_++]);
    return 1;
  }

 private:
  std::string text_;
  std::size_t at_ = 0;
};

TEST(ReadFull, FillsTheBufferFromShortReads) {
  Trickle source("abcdef");
  std::array<std::byte, 4> buffer{};
  EXPECT_EQ(read_full(source, buffer), 4U);
  EXPECT_EQ(text_of(buffer), "abcd");
  EXPECT_EQ(read_full(source, buffer), 2U);
  EXPECT_EQ(text_of(Bytes(buffer).first(2)), "ef");
  EXPECT_EQ(read_full(source, buffer), 0U);
}

TEST(MemorySource, GivesItsBytesOnce) {
  MemorySource source(bytes_of("hello"));
  std::array<std::byte, 3> buffer{};
  EXPECT_EQ(source.read(buffer), 3U);
  EXPECT_EQ(text_of(buffer), "hel");
  EXPECT_EQ(source.read(buffer), 2U);
  EXPECT_EQ(text_of(Bytes(buffer).first(2)), "lo");
  EXPECT_EQ(source.read(buffer), 0U);
}

TEST(StringSink, CollectsInOrder) {
  StringSink sink;
  sink.write(bytes_of("ab"));
  sink.write(bytes_of(std::string_view("\0c", 2)));
  EXPECT_EQ(sink.text(), std::string("ab\0c", 4));
}

TEST(LittleEndian, LoadsWhatWasStored) {
  std::array<std::byte, 8> memory{};
  store_le<std::uint32_t>(memory, 2, 0x04030201);
  EXPECT_EQ(text_of(Bytes(memory)), std::string_view("\0\0\1\2\3\4\0\0", 8));
  EXPECT_EQ(load_le<std::uint16_t>(memory, 3), 0x0302);
}

TEST(AlignedBuffer, IsAlignedForDirectIo) {
  const AlignedBuffer buffer(12'345);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % direct_io_alignment, 0U);
  EXPECT_EQ(buffer.span().size(), 12'345U);
}

TEST(ManualClock, MovesOnlyWhenToldOrSlept) {
  ManualClock clock(Time(std::chrono::seconds(10)));
  EXPECT_EQ(clock.wall(), clock.wall());
  const auto before = clock.steady();
  EXPECT_TRUE(clock.sleep(std::chrono::seconds(3), {}));
  clock.advance(std::chrono::seconds(4));
  EXPECT_EQ(clock.wall(), Time(std::chrono::seconds(17)));
  EXPECT_EQ(clock.steady() - before, std::chrono::seconds(7));
}

TEST(ManualClock, DoesNotSleepOnceStopped) {
  ManualClock clock(Time(std::chrono::seconds(10)));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(clock.sleep(std::chrono::seconds(3), stop.get_token()));
  EXPECT_EQ(clock.wall(), Time(std::chrono::seconds(10)));
}

TEST(SystemClock, WakesWhenStopped) {
  SystemClock clock;
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(clock.sleep(std::chrono::hours(1), stop.get_token()));
  EXPECT_TRUE(clock.sleep(std::chrono::nanoseconds(1), {}));
}

}  // namespace
}  // namespace seawall
