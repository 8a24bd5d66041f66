#include "ops/client_program.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <csignal>
#include <functional>

namespace seawall::ops {
namespace {

using ::testing::HasSubstr;
using Pipe = ClientProgram::Pipe;

class client_program : public ::testing::Test {
 protected:
  client_program() { std::signal(SIGPIPE, SIG_IGN); }

  static std::vector<std::string> shell(std::string text) { return {"sh", "-c", std::move(text)}; }

  static std::string all_of(ClientProgram& program) {
    std::string text(100000, '\0');
    text.resize(read_full(program, {reinterpret_cast<std::byte*>(text.data()), text.size()}));
    return text;
  }

  static Error error_of(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      return error;
    }
    return {Errc::bug, "nothing was thrown"};
  }

  SystemClock clock_;
  MemoryLog log_;
  std::unique_ptr<Progress> progress_ = make_progress(-1, log_, clock_);
  std::stop_source stop_;
  seawall::Run run_{clock_, log_, *progress_, stop_.get_token()};
};

TEST_F(client_program, gives_its_output_and_logs_what_it_says) {
  ClientProgram program(shell("echo one; echo a remark >&2; printf 'half a line' >&2; echo two"), Pipe::its_output,
                        run_);
  EXPECT_EQ(all_of(program), "one\ntwo\n");
  program.finish();
  EXPECT_THAT(log_.text(), HasSubstr("sh: a remark\n"));
  EXPECT_THAT(log_.text(), HasSubstr("sh: half a line\n"));
}

TEST_F(client_program, that_fails_is_an_error_with_its_last_words) {
  ClientProgram program(shell("echo output; echo first >&2; echo the reason >&2; exit 3"), Pipe::its_output, run_);
  EXPECT_EQ(all_of(program), "output\n");
  const Error error = error_of([&] { program.finish(); });
  EXPECT_EQ(error.code(), Errc::db);
  EXPECT_STREQ(error.what(), "sh failed with exit status 3: the reason");
}

TEST_F(client_program, that_a_signal_ended_says_so) {
  ClientProgram program(shell("kill -9 $$"), Pipe::its_output, run_);
  EXPECT_EQ(all_of(program), "");
  EXPECT_STREQ(error_of([&] { program.finish(); }).what(), "sh was ended by signal 9");
}

TEST_F(client_program, that_is_not_there_is_named) {
  const Error error = error_of([&] { ClientProgram({"/nonexistent/pg_dump"}, Pipe::its_output, run_); });
  EXPECT_EQ(error.code(), Errc::not_found);
  EXPECT_THAT(error.what(), HasSubstr("/nonexistent/pg_dump"));
}

TEST_F(client_program, reads_everything_before_it_ends) {
  ClientProgram program(shell("[ $(wc -c) = 3000000 ]"), Pipe::its_input, run_);
  const std::string text(3000000, 'x');
  program.write(bytes_of(text));
  program.finish();
}

TEST_F(client_program, that_ends_before_it_read_everything_is_an_error) {
  ClientProgram program(shell("exit 0"), Pipe::its_input, run_);
  const std::string text(3000000, 'x');
  const Error error = error_of([&] { program.write(bytes_of(text)); });
  EXPECT_THAT(error.what(), HasSubstr("ended before it had read everything"));
}

TEST_F(client_program, never_takes_the_end_of_ours_for_the_end_of_its_input) {
  const std::string file = ::testing::TempDir() + "/client_program_test_" + std::to_string(::getpid());
  {
    ClientProgram program({"sh", "-c", "cat >/dev/null; echo committed >\"$0\"", file}, Pipe::its_input, run_);
    program.write(bytes_of("begin"));
  }
  EXPECT_EQ(try_read_file(file), std::nullopt);
}

TEST_F(client_program, is_ended_when_a_stop_is_requested) {
  ClientProgram program(shell("echo one; exec sleep 600"), Pipe::its_output, run_);
  std::array<std::byte, 100> buffer;
  EXPECT_EQ(program.read(buffer), 4U);
  stop_.request_stop();
  EXPECT_EQ(error_of([&] { program.read(buffer); }).code(), Errc::cancelled);
}

}  // namespace
}  // namespace seawall::ops
