# The same scenarios as in test_oracle.py, on real OTP. Prints a line `scenario|what happened` each.
# Words of the result are made the same on both sides: exceptions are "raised", pids are left out.
# Before OTP 26 a failed start_link left an EXIT in a starter that traps; test_oracle.py knows.
Logger.configure(level: :none)
IO.puts("otp|#{System.otp_release()}")

defmodule Say do
  def line(name, what), do: IO.puts("#{name}|#{what}")

  def reason({%{__exception__: true}, _stack}), do: "raised"
  def reason({:bad_return_value, _}), do: "bad return"
  def reason({:shutdown, detail}) when is_atom(detail), do: "shutdown(#{detail})"
  def reason(reason) when is_atom(reason), do: Atom.to_string(reason)
  def reason(_), do: "other"

  def start({:ok, _}), do: "ok"
  def start(:ignore), do: "ignore"
  def start({:error, reason}), do: "error " <> reason(reason)

  # Receives live in functions of their own: OTP 25's compiler trips over them in nested ones.
  def await(message) do
    receive do
      ^message -> :ok
    end
  end

  def await_child do
    receive do
      {:child, child} -> child
    end
  end

  def down(ref) do
    receive do
      {:DOWN, ^ref, _, _, reason} -> reason
    end
  end

  # Ends with what it saw: an exit that was trapped, or nothing.
  def watch do
    receive do
      {:EXIT, _, r} -> exit({:shutdown, String.to_atom("saw_" <> reason(r))})
      :finish -> exit({:shutdown, :untouched})
    end
  end

  def end_as_told do
    receive do
      :normal -> :ok
      :kill_itself -> exit(:kill)
      other -> exit(other)
    end
  end

  # What arrives in a mailbox within a moment, in order.
  def mailbox(acc \\ []) do
    receive do
      {:EXIT, _, r} -> mailbox(["EXIT " <> reason(r) | acc])
      {:DOWN, _, _, _, r} -> mailbox(["DOWN " <> reason(r) | acc])
      {:trace, what} -> mailbox([what | acc])
    after
      60 -> Enum.join(Enum.reverse(acc), ", ")
    end
  end
end

defmodule Starter do
  use GenServer
  def init(:ok), do: {:ok, nil}
  def init(:stop), do: {:stop, :boom}
  def init(:stop_normal), do: {:stop, :normal}
  def init(:ignore), do: :ignore
  def init(:raise), do: raise("boom")
  def init(:exit), do: exit(:boom)
  def init(:exit_normal), do: exit(:normal)
  def init(:junk), do: 42
  def init(:slow), do: Process.sleep(5_000)
end

# -- G5: what start and start_link give, whether the starter survives, what is left in its mailbox
for how <- [:ok, :stop, :stop_normal, :ignore, :raise, :exit, :exit_normal, :junk, :slow],
    mode <- [:start, :trapping, :linked] do
  {_, ref} =
    spawn_monitor(fn ->
      Process.flag(:trap_exit, mode == :trapping)
      opts = if how == :slow, do: [timeout: 30], else: []
      function = if mode == :start, do: :start, else: :start_link
      result = apply(GenServer, function, [Starter, how, opts])
      exit({:result, Say.start(result), Say.mailbox()})
    end)

  case Say.down(ref) do
    {:result, result, left} -> Say.line("start #{how} #{mode}", "#{result}; left: #{left}")
    reason -> Say.line("start #{how} #{mode}", "starter died of #{Say.reason(reason)}")
  end
end

# -- P10, P11: an exit signal of each kind, to a process that traps and one that does not
for trap <- [false, true],
    kind <- [:normal, :shutdown, :boom, :kill] do
  me = self()

  {pid, ref} =
    spawn_monitor(fn ->
      Process.flag(:trap_exit, trap)
      send(me, :ready)

      Say.watch()
    end)

  Say.await(:ready)
  Process.exit(pid, kind)
  Process.sleep(20)
  send(pid, :finish)
  Say.line("exit #{kind} trap #{trap}", Say.reason(Say.down(ref)))
end

# -- P11, L4: how the end of one process reaches a linked one
for ending <- [:normal, :shutdown, :boom, :kill_itself, :killed],
    trap <- [false, true] do
  me = self()

  {peer, ref} =
    spawn_monitor(fn ->
      Process.flag(:trap_exit, trap)

      send(me, {:child, spawn_link(&Say.end_as_told/0)})

      Say.watch()
    end)

  child = Say.await_child()
  if ending == :killed, do: Process.exit(child, :kill), else: send(child, ending)
  Process.sleep(20)
  send(peer, :finish)
  Say.line("link #{ending} trap #{trap}", Say.reason(Say.down(ref)))
end

defmodule Traced do
  use GenServer
  # `fails` is how many of the next starts fail, kept by name in a table
  def start_link({name, me}), do: GenServer.start_link(__MODULE__, {name, me}, name: name)

  def init({name, me}) do
    Process.flag(:trap_exit, true)

    case :ets.update_counter(:fails, name, {2, -1, -1, -1}, {name, 0}) do
      -1 ->
        send(me, {:trace, "start #{name}"})
        {:ok, {name, me}}

      _ ->
        send(me, {:trace, "start #{name} fails"})
        {:stop, :refused}
    end
  end

  def terminate(_reason, {name, me}), do: send(me, {:trace, "stop #{name}"})
end

defmodule Trees do
  def spec(name, restart \\ :permanent) do
    %{id: name, start: {Traced, :start_link, [{name, self()}]}, restart: restart}
  end

  def start(names, strategy, opts \\ []) do
    specs = Enum.map(names, &spec/1)
    {:ok, sup} = Supervisor.start_link(specs, [strategy: strategy] ++ opts)
    Say.mailbox()
    sup
  end
end

Process.flag(:trap_exit, true)
:ets.new(:fails, [:named_table, :public])

# -- S10-S12: which children are replaced, in which order
for strategy <- [:one_for_one, :rest_for_one, :one_for_all] do
  sup = Trees.start([:a, :b, :c], strategy)
  Process.exit(Process.whereis(:b), :kill)
  Say.line("#{strategy} b killed", Say.mailbox())
  Supervisor.stop(sup)
  Say.line("#{strategy} stopped", Say.mailbox())
end

# -- S15: group restarts in which another child fails to start once
sup = Trees.start([:a, :b, :c], :one_for_all)
:ets.insert(:fails, {:b, 1})
Process.exit(Process.whereis(:c), :kill)
Say.line("S15 one_for_all", Say.mailbox())
Supervisor.stop(sup)
Say.mailbox()

sup = Trees.start([:a, :b, :c, :d], :rest_for_one)
:ets.insert(:fails, {:c, 1})
Process.exit(Process.whereis(:b), :kill)
Say.line("S15 rest_for_one", Say.mailbox())
Supervisor.stop(sup)
Say.mailbox()

# -- S17: how many starts there are when a child always fails to come back
for max <- [0, 1, 3] do
  sup = Trees.start([:a], :one_for_one, max_restarts: max, max_seconds: 5)
  :ets.insert(:fails, {:a, 1_000})
  ref = Process.monitor(sup)
  Process.exit(Process.whereis(:a), :kill)
  Say.line("S17 #{max} reason", Say.reason(Say.down(ref)))
  Say.line("S17 #{max} starts", Say.mailbox())
  :ets.delete(:fails, :a)
end

# -- S7: the start of a later child fails
:ets.insert(:fails, {:c, 1})
specs = Enum.map([:a, :b, :c, :d], &Trees.spec/1)
result = Supervisor.start_link(specs, strategy: :one_for_one)
Say.line("S7 result", if(match?({:error, _}, result), do: "error", else: "ok"))
Say.line("S7 trace", Say.mailbox() |> String.replace(~r/, EXIT.*/, ""))

# -- S8: restart types and ways to end
defmodule Ender do
  use GenServer
  def start_link(name), do: GenServer.start_link(__MODULE__, nil, name: name)
  def init(_), do: {:ok, nil}
  def handle_cast(reason, s), do: {:stop, reason, s}
end

for restart <- [:permanent, :transient, :temporary],
    reason <- [:normal, :shutdown, {:shutdown, :x}, :boom] do
  spec = %{id: :e, start: {Ender, :start_link, [:e]}, restart: restart}
  {:ok, sup} = Supervisor.start_link([spec], strategy: :one_for_one)
  GenServer.cast(:e, reason)
  Process.sleep(20)

  what =
    case Supervisor.which_children(sup) do
      [{:e, pid, _, _}] when is_pid(pid) -> "restarted"
      [{:e, :undefined, _, _}] -> "kept"
      [] -> "forgotten"
    end

  Say.line("S8 #{restart} #{Say.reason(reason)}", what)
  Supervisor.stop(sup)
end
