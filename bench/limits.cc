// limits: how fast this machine does alone what a backup and a restore cannot do without.
//
//   limits read DIRECTORY         reads all files
//   limits code DIRECTORY         compresses, hashes and decompresses what is in them, in blocks as seawall does
//   limits write FILE BYTES       writes a new file: through the page cache with fsync, then past it with O_DIRECT
//
// One thread. Prints a JSON object per line: name, bytes, wall and CPU in seconds; `stored` after compression.
#define LZ4_STATIC_LINKING_ONLY
#include <lz4.h>
#define XXH_INLINE_ALL
#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace {

namespace fs = std::filesystem;

constexpr std::size_t piece_bytes = 256 << 10;
constexpr std::size_t block_bytes = 64 << 10;
constexpr std::size_t block_bound = LZ4_COMPRESSBOUND(block_bytes);
constexpr std::size_t blocks_per_piece = piece_bytes / block_bytes;
constexpr std::size_t write_bytes = 1 << 20;
constexpr std::size_t alignment = 4096;  // what O_DIRECT wants on every file system that has it

double seconds_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

struct Free {
  void operator()(void* memory) const noexcept { std::free(memory); }
};
using Buffer = std::unique_ptr<char, Free>;

Buffer aligned_buffer(std::size_t bytes) {
  Buffer buffer(static_cast<char*>(std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment)));
  if (!buffer) throw std::bad_alloc();
  // Touched now, or the first measured pass would pay for the page faults.
  std::memset(buffer.get(), 'x', bytes);
  return buffer;
}

class File {
 public:
  File(const fs::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {
    if (fd_ < 0) fail("open " + path.string());
  }
  ~File() { ::close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

/// Wall and CPU time of something that is done in many short turns, or in one.
class Meter {
 public:
  template <class Work>
  void measure(Work&& work) {
    const double wall = seconds_of(CLOCK_MONOTONIC);
    const double cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    work();
    cpu_ += seconds_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
    wall_ += seconds_of(CLOCK_MONOTONIC) - wall;
  }

  void print(std::string_view name, std::uint64_t bytes, std::uint64_t stored) const {
    std::printf("{\"name\": \"%.*s\", \"bytes\": %llu, \"stored\": %llu, \"wall\": %.6f, \"cpu\": %.6f}\n",
                static_cast<int>(name.size()), name.data(), static_cast<unsigned long long>(bytes),
                static_cast<unsigned long long>(stored), wall_, cpu_);
  }

 private:
  double wall_ = 0;
  double cpu_ = 0;
};

/// All regular files under `directory` except WAL, which is no part of a base backup.
std::vector<fs::path> files_of(const fs::path& directory) {
  std::vector<fs::path> files;
  for (auto entry = fs::recursive_directory_iterator(directory); entry != fs::recursive_directory_iterator(); ++entry) {
    if (entry->is_directory() && entry->path().filename() == "pg_wal") entry.disable_recursion_pending();
    if (entry->is_regular_file() && !entry->is_symlink()) files.push_back(entry->path());
  }
  return files;
}

/// Calls `take(bytes)` with the contents of all files one after the other, cut to pieces as in a tar stream.
template <class Take>
std::uint64_t read_all(const std::vector<fs::path>& files, char* into, Take&& take) {
  std::uint64_t total = 0;
  std::size_t fill = 0;
  for (const fs::path& path : files) {
    const File file(path, O_RDONLY);
    for (;;) {
      const ssize_t n = ::read(file.get(), into + fill, piece_bytes - fill);
      if (n < 0) fail("read " + path.string());
      if (n == 0) break;
      fill += static_cast<std::size_t>(n);
      total += static_cast<std::uint64_t>(n);
      if (fill < piece_bytes) continue;
      take(fill);
      fill = 0;
    }
  }
  if (fill > 0) take(fill);
  return total;
}

void read_limit(const fs::path& directory) {
  const std::vector<fs::path> files = files_of(directory);
  const Buffer buffer = aligned_buffer(piece_bytes);
  std::uint64_t bytes = 0;
  Meter meter;
  meter.measure([&] { bytes = read_all(files, buffer.get(), [](std::size_t) {}); });
  meter.print("read", bytes, bytes);
}

/// One piece's blocks, each compressed into a place of its own.
struct Blocks {
  std::array<int, blocks_per_piece> raw{};
  std::array<int, blocks_per_piece> stored{};
  std::size_t count = 0;
};

std::uint64_t encode(LZ4_stream_t& state, const char* raw, std::size_t bytes, char* out, Blocks& blocks) {
  std::uint64_t stored = 0;
  blocks.count = 0;
  for (std::size_t at = 0; at < bytes; at += block_bytes, ++blocks.count) {
    const int size = static_cast<int>(std::min(block_bytes, bytes - at));
    const int n = LZ4_compress_fast_extState_fastReset(&state, raw + at, out + blocks.count * block_bound, size,
                                                       static_cast<int>(block_bound), 1);
    blocks.raw[blocks.count] = size;
    blocks.stored[blocks.count] = n;
    stored += static_cast<std::uint64_t>(std::min(n, size));
  }
  return stored;
}

void decode(const char* stored, const Blocks& blocks, char* out) {
  for (std::size_t i = 0; i < blocks.count; ++i) {
    const int n = LZ4_decompress_safe(stored + i * block_bound, out + i * block_bytes, blocks.stored[i],
                                      static_cast<int>(block_bytes));
    if (n != blocks.raw[i]) throw std::runtime_error("a block does not come back as it was");
  }
}

void code_limits(const fs::path& directory) {
  const std::vector<fs::path> files = files_of(directory);
  const Buffer raw = aligned_buffer(piece_bytes);
  const Buffer out = aligned_buffer(blocks_per_piece * block_bound);
  const Buffer back = aligned_buffer(piece_bytes);
  const auto state = std::make_unique<LZ4_stream_t>();
  LZ4_initStream(state.get(), sizeof *state);
  XXH32_state_t content;
  XXH32_reset(&content, 0);
  Blocks blocks;
  Meter encoding, decoding, content_hash, digest;
  std::uint64_t stored = 0;
  std::uint64_t kept = 0;  // of the digests, so that the compiler computes them
  const std::uint64_t bytes = read_all(files, raw.get(), [&](std::size_t n) {
    encoding.measure([&] { stored += encode(*state, raw.get(), n, out.get(), blocks); });
    content_hash.measure([&] { XXH32_update(&content, raw.get(), n); });
    digest.measure([&] { kept ^= XXH3_128bits(raw.get(), n).low64; });
    decoding.measure([&] { decode(out.get(), blocks, back.get()); });
    if (std::memcmp(raw.get(), back.get(), n) != 0) throw std::runtime_error("a block does not come back as it was");
  });
  encoding.print("lz4-encode", bytes, stored);
  decoding.print("lz4-decode", bytes, stored);
  content_hash.print("xxh32", bytes, XXH32_digest(&content) == 0 ? 0 : bytes);
  digest.print("xxh3-128", bytes, kept == 0 ? 0 : bytes);
}

void write_limit(const fs::path& path, std::uint64_t bytes, bool direct) {
  const Buffer buffer = aligned_buffer(write_bytes);
  Meter meter;
  meter.measure([&] {
    const File file(path, O_WRONLY | O_CREAT | O_EXCL | (direct ? O_DIRECT : 0));
    // Without space given in advance the file system would look for some at every direct write.
    if (direct && ::fallocate(file.get(), 0, 0, static_cast<off_t>(bytes)) != 0) fail("allocate " + path.string());
    for (std::uint64_t at = 0; at < bytes; at += write_bytes) {
      if (::write(file.get(), buffer.get(), write_bytes) != static_cast<ssize_t>(write_bytes)) {
        fail("write " + path.string());
      }
    }
    if (::fsync(file.get()) != 0) fail("fsync " + path.string());
  });
  fs::remove(path);
  meter.print(direct ? "write-direct" : "write-buffered", bytes, bytes);
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() == 2 && arguments[0] == "read") {
    read_limit(arguments[1]);
  } else if (arguments.size() == 2 && arguments[0] == "code") {
    code_limits(arguments[1]);
  } else if (arguments.size() == 3 && arguments[0] == "write") {
    const std::uint64_t bytes = std::stoull(arguments[2]) / write_bytes * write_bytes;
    write_limit(arguments[1], bytes, false);
    write_limit(arguments[1], bytes, true);
  } else {
    std::fputs("usage: limits read|code DIRECTORY, or limits write FILE BYTES\n", stderr);
    return 2;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "limits: %s\n", error.what());
    return 1;
  }
}
